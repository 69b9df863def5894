"""The compiled steps of one epoch: task, penalty on every k-th step, optimizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flatreg import penalty
from flatreg.objective import Objective
from flatreg.train.batches import Batches

Params = Any
Gradient = Callable[..., Any]


class Sums(NamedTuple):
    """Sums over the steps of one epoch, and the number of the last step (from 1)."""

    step: jax.Array
    loss: jax.Array
    correct: jax.Array
    gradient_norm: jax.Array
    tr_h2: jax.Array
    penalized: jax.Array
    finite: jax.Array


Carry = tuple[Params, optax.OptState, Sums]


def no_sums(step: int) -> Sums:
    """The sums before the first step of an epoch, which comes after `step` earlier steps."""
    zero = jnp.float32(0)
    return Sums(jnp.int32(step), zero, jnp.int32(0), zero, zero, jnp.int32(0), jnp.bool_(True))


class Streams(NamedTuple):
    """Keys of a run's random numbers, as arguments: all seeds share one compiled program."""

    dropout: jax.Array
    probes: jax.Array


def plain_gradient(objective: Objective) -> Gradient:
    """Loss and gradient of the task alone, so that lambda 0 costs nothing extra."""
    differentiate = penalty.plain_value_and_grad(
        objective.estimator, task=objective.task, has_aux=True
    )

    def gradient(
        params: Params, x: Any, y: jax.Array, step: jax.Array, weight: jax.Array, streams: Streams
    ) -> Any:
        del weight
        rngs = {"dropout": jax.random.fold_in(streams.dropout, step)}
        return differentiate(params, x, y, rngs=rngs)

    return gradient


def penalized_gradient(objective: Objective, interval: int) -> Gradient:
    """Loss and gradient with the penalty on every `interval`-th step."""
    differentiate = penalty.value_and_grad(
        objective.estimator, interval=interval, task=objective.task, has_aux=True
    )

    def gradient(
        params: Params, x: Any, y: jax.Array, step: jax.Array, weight: jax.Array, streams: Streams
    ) -> Any:
        key = jax.random.fold_in(streams.probes, step)
        rngs = {"dropout": jax.random.fold_in(streams.dropout, step)}
        return differentiate(params, x, y, key=key, weight=weight, step=step, rngs=rngs)

    return gradient


def make_epoch(
    gradient: Gradient, optimizer: optax.GradientTransformation, batches: Batches
) -> Callable[..., Carry]:
    """All steps of an epoch in one call; it stops after a loss or gradient that is not finite.

    Returns:
        `run(params, opt_state, sums, examples, plan, weight, streams)`.
    """

    def advance(fixed: Any, first: jax.Array, carry: Carry) -> Carry:
        examples, plan, weight, streams = fixed
        params, opt_state, sums = carry
        x, y = batches.load(examples, jax.tree.map(lambda a: a[sums.step - first], plan))
        number = sums.step + 1
        value, slope = gradient(params, x, y, number, weight, streams)
        norm = optax.tree.norm(slope)
        updates, opt_state = optimizer.update(slope, opt_state, params)
        sums = Sums(
            step=number,
            loss=sums.loss + value.loss,
            correct=sums.correct + value.aux,
            gradient_norm=sums.gradient_norm + norm,
            tr_h2=sums.tr_h2 + value.tr_h2,
            penalized=sums.penalized + value.applied,
            finite=jnp.isfinite(value.loss + weight * value.tr_h2) & jnp.isfinite(norm),
        )
        return optax.apply_updates(params, updates), opt_state, sums

    def run(params: Params, opt_state: optax.OptState, sums: Sums, *fixed: Any) -> Carry:
        plan = fixed[1]
        last = sums.step + jax.tree.leaves(plan)[0].shape[0]
        return jax.lax.while_loop(
            lambda carry: (carry[2].step < last) & carry[2].finite,
            partial(advance, fixed, sums.step),
            (params, opt_state, sums),
        )

    return run
