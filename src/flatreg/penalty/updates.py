"""The penalty as a link of an Optax chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flatreg.penalty.errors import ArgumentError, BatchError
from flatreg.penalty.estimator import Estimator
from flatreg.penalty.training import check_interval, check_weight

Schedule = Callable[[jax.Array], jax.Array]


class PenaltyState(NamedTuple):
    """The state of `add_penalty`.

    Attributes:
        step: number of updates so far, int32 [].
        key: from which each update's probes are drawn.
    """

    step: jax.Array
    key: jax.Array


def add_penalty(
    estimator: Estimator, weight: float | jax.Array | Schedule, *, key: jax.Array, interval: int = 1
) -> optax.GradientTransformationExtraArgs:
    """Add the gradient of weight * tr(H^2) to the updates, on every k-th update.

    First in a chain it is part of the gradient, as with `value_and_grad`. After a preconditioner
    and before the learning rate it is decoupled, as weight decay is in AdamW:

        optax.chain(
            optax.scale_by_adam(),
            add_penalty(estimator, 0.01, key=key),
            optax.scale_by_learning_rate(0.001),
        )

    Within `optax.MultiSteps` it counts the accumulated updates, and takes tr(H^2) on the last
    micro-batch of each.

    Args:
        estimator: estimator of tr(H^2), or of another trace in its place: its `target`.
        weight: that of one application (see `scale`), or a schedule of the update's number, from 1.
        key: random key; the n-th update's probes are drawn with `fold_in(key, n)`.
        interval: k; the penalty is added if k divides the update's number.

    Returns:
        A transformation whose `update(updates, state, params, batch=(x, *labels))` needs
        parameters and batch. A mapping `arguments=` is given to the loss by keyword.

    Raises:
        StepError: `interval` is not a whole number above 0.
        WeightError: `weight` is not a finite number of at least 0, nor a schedule.
        BatchError: at an update, `batch` is missing, or not a tuple or list.
        ArgumentError: at an update, the parameters are missing. An update also raises the errors
            of `estimator`.
    """
    check_interval(interval)
    if not callable(weight):
        check_weight(weight)

    def init(params: Any) -> PenaltyState:
        del params
        return PenaltyState(jnp.int32(0), key)

    def update(
        updates: Any,
        state: PenaltyState,
        params: Any = None,
        *,
        batch: Any = None,
        arguments: dict[str, Any] | None = None,
        **_: Any,
    ) -> tuple[Any, PenaltyState]:
        if params is None:
            raise ArgumentError("params", "missing", "update(updates, state, params, batch=...)")
        if not isinstance(batch, tuple | list):
            raise BatchError("batch", type(batch).__name__, "update(..., batch=(x, *labels))")
        step = state.step + 1

        def penalized() -> Any:
            probes = jax.random.fold_in(state.key, step)
            slope = jax.grad(lambda p: estimator(p, *batch, key=probes, **(arguments or {})))
            strength = weight(step) if callable(weight) else weight
            return jax.tree.map(
                lambda u, g: (u + strength * g).astype(u.dtype), updates, slope(params)
            )

        if interval == 1:
            added = penalized()
        else:
            added = jax.lax.cond(step % interval == 0, penalized, lambda: updates)
        return added, PenaltyState(step, state.key)

    return optax.GradientTransformationExtraArgs(init, update)
