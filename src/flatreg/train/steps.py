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
        penalized: steps with the penalty.
        diverged_step: the first step whose loss or gradient was not finite; 0 if none was.
    """

    step: jax.Array
    loss: jax.Array
    correct: jax.Array
    gradient_norm: jax.Array
    tr_h2: jax.Array
    penalized: jax.Array
    diverged_step: jax.Array


def no_sums(step: int) -> Sums:
    """The sums before the first step of an epoch, which comes after `step` earlier steps."""
    zero, none = jnp.float32(0), jnp.int32(0)
    return Sums(jnp.int32(step), zero, none, zero, zero, none, none)


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
        first: number of steps before the epoch.
        weight: of the penalty in the loss.
        decay: weight decay.
        streams: of the run.
    """

    examples: Any
    plan: Any
    rates: jax.Array
    first: jax.Array
    weight: jax.Array
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


def plain_step(objective: Objective, optimizer: Optimizer, load: Load) -> Step:
    """A step on the task's loss alone."""
    differentiate = penalty.plain_value_and_grad(
        objective.estimator, task=objective.task, has_aux=True
    )

    def gradient(params: Params, x: Any, y: jax.Array, step: jax.Array, fixed: Fixed) -> Any:
        return differentiate(params, x, y, rngs=_dropout(fixed, step))

    return _step(gradient, optimizer, load)


def every_kth_step(objective: Objective, interval: int, optimizer: Optimizer, load: Load) -> Step:
    """A step on the task's loss, with the penalty if `interval` divides the step's number."""
    differentiate = penalty.value_and_grad(
        objective.estimator, interval=interval, task=objective.task, has_aux=True
    )

    def gradient(params: Params, x: Any, y: jax.Array, step: jax.Array, fixed: Fixed) -> Any:
        key = jax.random.fold_in(fixed.streams.probes, step)
        rngs = _dropout(fixed, step)
        return differentiate(params, x, y, key=key, weight=fixed.weight, step=step, rngs=rngs)

    return _step(gradient, optimizer, load)


def penalized_step(objective: Objective, optimizer: Optimizer, load: Load) -> Step:
    """A step on the task's loss and the penalty."""
    differentiate = penalty.value_and_grad(objective.estimator, task=objective.task, has_aux=True)

    def gradient(params: Params, x: Any, y: jax.Array, step: jax.Array, fixed: Fixed) -> Any:
        key = jax.random.fold_in(fixed.streams.probes, step)
        rngs = _dropout(fixed, step)
        return differentiate(params, x, y, key=key, weight=fixed.weight, rngs=rngs)

    return _step(gradient, optimizer, load)


def _dropout(fixed: Fixed, step: jax.Array) -> dict[str, jax.Array]:
    return {"dropout": jax.random.fold_in(fixed.streams.dropout, step)}


def _step(gradient: Callable[..., Any], optimizer: Optimizer, load: Load) -> Step:
    def step(fixed: Fixed, carry: Carry) -> Carry:
        params, opt_state, sums = carry
        place, number = sums.step - fixed.first, sums.step + 1
        x, y = load(fixed.examples, jax.tree.map(lambda a: a[place], fixed.plan))
        value, slope = gradient(params, x, y, number, fixed)
        norm = optax.tree.norm(slope)
        update = optimizer(fixed.rates[place], fixed.decay).update
        updates, opt_state = update(slope, opt_state, params)
        finite = jnp.isfinite(value.loss + fixed.weight * value.tr_h2) & jnp.isfinite(norm)
        first_failure = (sums.diverged_step == 0) & ~finite
        sums = Sums(
            step=number,
            loss=sums.loss + value.loss,
            correct=sums.correct + value.aux,
            gradient_norm=sums.gradient_norm + norm,
            tr_h2=sums.tr_h2 + value.tr_h2,
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
