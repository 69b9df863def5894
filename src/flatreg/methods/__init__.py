"""How a step's gradient is made from the task's, one module per method.

Plain training takes the gradient of the task's loss on the mini-batch. A *method* makes another
gradient of it: SAM takes it elsewhere, the penalty adds a term, noise changes the inputs. A training
has a chain of methods, each of which calls the next as `inner`, the last the task itself; so
`[input_noise, penalty]` penalizes a loss whose inputs are noisy.

A new method is a new module in this folder with a function of the module's name, which returns a
`Method`; or a function anywhere else that is named in the config, "my_module:make".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

Params = Any
State = Any


class Batch(NamedTuple):
    """A mini-batch, and a key.

    Attributes:
        x: inputs [B, …], dense or sparse.
        y: labels [B].
        key: of the step, for what a method draws; dropout has keys of its own.
    """

    x: Any
    y: jax.Array
    key: jax.Array


class Descent(NamedTuple):
    """Where a step goes down.

    Attributes:
        loss: of the task on the mini-batch, as the method saw it.
        hits: correctly classified examples.
        gradient: what the optimizer takes.
        beside: a gradient that stays outside the optimizer's moments; None if there is none.
        estimate: what the method estimated on this step, such as tr(H^2); 0 if nothing.
        applied: whether it estimated anything.
    """

    loss: jax.Array
    hits: jax.Array
    gradient: Params
    beside: Params | None = None
    estimate: jax.Array | float = 0.0
    applied: jax.Array | bool = False


# `gradient(params, batch) -> Descent`, of the task or of the rest of a chain.
Gradient = Callable[[Params, Batch], Descent]


class Range(NamedTuple):
    """Values among which a search looks for a hyperparameter, evenly on a log scale.

    Attributes:
        low: the smallest, above 0.
        high: the largest.
    """

    low: float
    high: float


def _nothing(params: Params) -> State:
    """The state of a method that has none."""
    return ()


def _unchanged(state: State, params: Params, descent: Descent) -> State:
    return state


def _as_trained(state: State, params: Params) -> Params:
    return params


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method, with its hyperparameters left open.

    Attributes:
        gradient: `gradient(inner, params, batch, state, **hyperparameters) -> Descent`; pure, and
            the hyperparameters are traced, so that one compiled step serves all their values.
        hyperparameters: their ranges of search, by name.
        cost: of a step, in gradients of the task; 1 is plain training.
        reference: the paper that it is from, with its DOI or arXiv number.
        start: `start(params) -> state`, before the first step.
        advance: `advance(state, params, descent, **hyperparameters) -> state`, after each step,
            with the new parameters and what the whole chain descended.
        deploy: `deploy(state, params) -> params`, the parameters that are evaluated and kept.
    """

    gradient: Callable[..., Descent]
    cost: float
    reference: str
    hyperparameters: Mapping[str, Range] = field(default_factory=dict)
    start: Callable[[Params], State] = _nothing
    advance: Callable[..., State] = _unchanged
    deploy: Callable[[State, Params], Params] = _as_trained


class Chain(NamedTuple):
    """Methods one after another, as one: see `chain`.

    Attributes:
        start: `start(params) -> state`, before the first step.
        gradient: `gradient(params, batch, state, hyperparameters) -> Descent`.
        advance: `advance(state, params, descent, hyperparameters) -> state`, after each step.
        deploy: `deploy(state, params) -> params`, the parameters that are evaluated and kept.
    """

    start: Callable[[Params], State]
    gradient: Callable[[Params, Batch, State, Mapping[str, jax.Array]], Descent]
    advance: Callable[[State, Params, Descent, Mapping[str, jax.Array]], State]
    deploy: Callable[[State, Params], Params]


def chain(methods: Mapping[str, Method], task: Gradient) -> Chain:
    """Chain methods, by their names: the first is outermost, and the last calls the task.

    The hyperparameter `radius` of `sam` is given as `sam.radius`, and each method draws with a key
    of its own.
    """
    names = list(methods)

    def gradient(
        params: Params, batch: Batch, state: State, given: Mapping[str, jax.Array]
    ) -> Descent:
        inner = task
        for place, name in reversed(list(enumerate(names))):
            inner = _link(methods[name], inner, place, state[name], own(given, name))
        return inner(params, batch)

    def advance(
        state: State, params: Params, descent: Descent, given: Mapping[str, jax.Array]
    ) -> State:
        return {
            name: method.advance(state[name], params, descent, **own(given, name))
            for name, method in methods.items()
        }

    def deploy(state: State, params: Params) -> Params:
        for name, method in methods.items():
            params = method.deploy(state[name], params)
        return params

    return Chain(
        start=lambda params: {name: method.start(params) for name, method in methods.items()},
        gradient=gradient,
        advance=advance,
        deploy=deploy,
    )


def _link(
    method: Method, inner: Gradient, place: int, state: State, given: Mapping[str, jax.Array]
) -> Gradient:
    def gradient(params: Params, batch: Batch) -> Descent:
        # The outermost has the step's key itself, and so draws what it would draw alone.
        key = jax.random.fold_in(batch.key, place) if place else batch.key
        return method.gradient(inner, params, batch._replace(key=key), state, **given)

    return gradient


def own(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The hyperparameters of one method, without its name."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): v for key, v in given.items() if key.startswith(prefix)}
