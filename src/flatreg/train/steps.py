"""The compiled steps of an epoch: task, penalty on every k-th step, optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flatreg import penalty
from flatreg.objective import Objective

Params = Any


class Sums(NamedTuple):
    """Sums over the steps of one epoch.

    Attributes:
        step: number of the last step of the run (from 1).
        loss: of the task.
        correct: correctly classified examples.
        gradient_norm: of the whole gradient.
        tr_h2: the penalty's estimates.
        penalty: these times their weights.
        strength: |w grad tr(H^2)| / |grad L_task| of the steps with the penalty.
        penalized: steps with the penalty.
        diverged_step: the first step whose loss or gradient was not finite; 0 if none was.
    """

    step: jax.Array
    loss: jax.Array
    correct: jax.Array
    gradient_norm: jax.Array
    tr_h2: jax.Array
    penalty: jax.Array
    strength: jax.Array
    penalized: jax.Array
    diverged_step: jax.Array


def no_sums(step: int) -> Sums:
    """The sums before the first step of an epoch, which comes after `step` earlier steps."""
    zero, none = jnp.float32(0), jnp.int32(0)
    return Sums(jnp.int32(step), zero, none, zero, zero, zero, zero, none, none)


class Streams(NamedTuple):
    """Keys of a run's random numbers."""

    dropout: jax.Array
    probes: jax.Array


class Fixed(NamedTuple):
    """What stays the same during an epoch, as arguments: all lanes share the compiled steps.

    Attributes:
        examples: arrays of the training split, of `flatreg.train.batches`.
        plan: arrays of the epoch's batches; their first axis is the step.
        rates: learning rates of the epoch's steps, float32 [steps].
        weights: of the penalty in the loss of these steps, float32 [steps].
        first: number of steps before the epoch.
        decay: weight decay.
        streams: of the run.
    """

    examples: Any
    plan: Any
    rates: jax.Array
    weights: jax.Array
    first: jax.Array
    decay: jax.Array
    streams: Streams


class Carry(NamedTuple):
    """What each step changes."""

    params: Params
    optimizer: optax.OptState
    sums: Sums


Step = Callable[[Fixed, Carry], Carry]
Epoch = Callable[[Fixed, Carry], Carry]
# (learning rate, weight decay) -> the optimizer with these.
Optimizer = Callable[[jax.Array, jax.Array], optax.GradientTransformation]
Load = Callable[[Any, Any], tuple[Any, jax.Array]]


class Descent(NamedTuple):
    """Where a step goes down.

    Attributes:
        value: the parts of the loss.
        gradient: what the optimizer takes.
        beside: the penalty's gradient, weighted, where it stays outside the optimizer; else None.
        strength: |w grad tr(H^2)| / |grad L_task|; 0 without the penalty.
    """

    value: penalty.Value
    gradient: Params
    beside: Params | None
    strength: jax.Array


# (parameters, inputs, labels, number of the step from 1, what is fixed) -> the descent.
Descend = Callable[[Params, Any, jax.Array, jax.Array, Fixed], Descent]


def plain_step(objective: Objective, optimizer: Optimizer, load: Load) -> Step:
    """A step on the task's loss alone."""
    return _step(_plain(objective), optimizer, load)


def penalized_step(
    objective: Objective, optimizer: Optimizer, load: Load, *, decoupled: bool
) -> Step:
    """A step on the task's loss and the penalty.

    Args:
        objective: of the training.
        optimizer: of a learning rate and a weight decay.
        load: of `flatreg.train.batches.loader`.
        decoupled: whether the penalty's gradient stays outside the optimizer: its step, the
            learning rate times the gradient, is then added to the optimizer's.
    """
    return _step(_penalized(objective, decoupled=decoupled), optimizer, load)


def every_kth_step(
    objective: Objective, interval: int, optimizer: Optimizer, load: Load, *, decoupled: bool
) -> Step:
    """A step on the task's loss, with the penalty if `interval` divides the step's number."""
    if interval == 1:
        return penalized_step(objective, optimizer, load, decoupled=decoupled)
    plain, penalized = _plain(objective), _penalized(objective, decoupled=decoupled)

    def descend(params: Params, x: Any, y: jax.Array, number: jax.Array, fixed: Fixed) -> Descent:
        def without() -> Descent:
            descent = plain(params, x, y, number, fixed)
            if not decoupled:
                return descent
            return descent._replace(beside=jax.tree.map(jnp.zeros_like, descent.gradient))

        return jax.lax.cond(
            number % interval == 0, lambda: penalized(params, x, y, number, fixed), without
        )

    return _step(descend, optimizer, load)


def _plain(objective: Objective) -> Descend:
    differentiate = penalty.plain_value_and_grad(
        objective.estimator, task=objective.task, has_aux=True
    )

    def descend(params: Params, x: Any, y: jax.Array, number: jax.Array, fixed: Fixed) -> Descent:
        value, gradient = differentiate(params, x, y, rngs=_dropout(fixed, number))
        return Descent(value, gradient, None, jnp.float32(0))

    return descend


def _penalized(objective: Objective, *, decoupled: bool) -> Descend:
    differentiate = penalty.value_and_grads(objective.estimator, task=objective.task, has_aux=True)

    def descend(params: Params, x: Any, y: jax.Array, number: jax.Array, fixed: Fixed) -> Descent:
        key = jax.random.fold_in(fixed.streams.probes, number)
        value, of_task, of_tr_h2 = differentiate(
            params, x, y, key=key, rngs=_dropout(fixed, number)
        )
        weighted = optax.tree.scale(fixed.weights[number - 1 - fixed.first], of_tr_h2)
        strength = optax.tree.norm(weighted) / optax.tree.norm(of_task)
        if decoupled:
            return Descent(value, of_task, weighted, strength)
        return Descent(value, optax.tree.add(of_task, weighted), None, strength)

    return descend


def _dropout(fixed: Fixed, number: jax.Array) -> dict[str, jax.Array]:
    return {"dropout": jax.random.fold_in(fixed.streams.dropout, number)}


def _step(descend: Descend, optimizer: Optimizer, load: Load) -> Step:
    def step(fixed: Fixed, carry: Carry) -> Carry:
        params, opt_state, sums = carry
        place, number = sums.step - fixed.first, sums.step + 1
        x, y = load(fixed.examples, jax.tree.map(lambda a: a[place], fixed.plan))
        value, gradient, beside, strength = descend(params, x, y, number, fixed)
        rate, weight = fixed.rates[place], fixed.weights[place]
        updates, opt_state = optimizer(rate, fixed.decay).update(gradient, opt_state, params)
        if beside is not None:
            updates = optax.tree.add_scale(updates, -rate, beside)
            gradient = optax.tree.add(gradient, beside)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(value.loss + weight * value.tr_h2) & jnp.isfinite(norm)
        first_failure = (sums.diverged_step == 0) & ~finite
        sums = Sums(
            step=number,
            loss=sums.loss + value.loss,
            correct=sums.correct + value.aux,
            gradient_norm=sums.gradient_norm + norm,
            tr_h2=sums.tr_h2 + value.tr_h2,
            penalty=sums.penalty + weight * value.tr_h2,
            strength=sums.strength + strength,
            penalized=sums.penalized + value.applied,
            diverged_step=jnp.where(first_failure, number, sums.diverged_step),
        )
        return Carry(optax.apply_updates(params, updates), opt_state, sums)

    return step


def epoch_of(step: Step) -> Epoch:
    """`run(fixed, carry)`: all steps of an epoch, each the same."""

    def run(fixed: Fixed, carry: Carry) -> Carry:
        return _repeat(step, fixed, carry, len(fixed.rates))

    return run


def epoch_in_groups(plain: Step, penalized: Step, interval: int) -> Epoch:
    """`run(fixed, carry)`: all steps of an epoch, penalized where `interval` divides the number.

    The epoch is a loop over groups of one penalized and `interval` - 1 plain steps. Unlike
    `every_kth_step`, no step has a condition, which on a GPU would cost as much as the penalty
    itself; on a CPU it costs nothing. The two round differently.
    """

    def run(fixed: Fixed, carry: Carry) -> Carry:
        count = len(fixed.rates)
        # Plain steps before the first whose number, from 1, is a multiple of the interval.
        before = jnp.minimum((interval - 1 - fixed.first) % interval, count)
        groups = -(-(count - before) // interval)

        def group(number: jax.Array, carry: Carry) -> Carry:
            left = count - before - number * interval - 1
            carry = penalized(fixed, carry)
            return _repeat(plain, fixed, carry, jnp.minimum(interval - 1, left))

        carry = _repeat(plain, fixed, carry, before)
        return jax.lax.fori_loop(0, groups, group, carry)

    return run


def at_precision(precision: str, epoch: Epoch) -> Epoch:
    """The same epoch, whose float32 products have a precision of `jax.default_matmul_precision`."""

    def run(fixed: Fixed, carry: Carry) -> Carry:
        with jax.default_matmul_precision(precision):
            return epoch(fixed, carry)

    return run


def _repeat(step: Step, fixed: Fixed, carry: Carry, count: jax.Array | int) -> Carry:
    return jax.lax.fori_loop(0, count, lambda _, carry: step(fixed, carry), carry)
