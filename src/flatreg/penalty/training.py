"""The penalty in a training step: a drop-in for `jax.value_and_grad`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flatreg.penalty.estimator import Estimator, Params, check_arguments


class Value(NamedTuple):
    """What a step's loss is made of.

    Attributes:
        loss: task loss.
        tr_h2: the estimate, 0 on a step that takes none.
        applied: whether this step took one.
        aux: what the task returned beside its loss, None without `has_aux`.
    """

    loss: jax.Array
    tr_h2: jax.Array
    applied: jax.Array
    aux: Any


def value_and_grad(
    estimator: Estimator,
    *,
    interval: int = 1,
    task: Callable[..., Any] | None = None,
    has_aux: bool = False,
) -> Callable[..., tuple[Value, Params]]:
    """Loss and gradient of L_task + weight * tr(H^2), the penalty on every k-th step alone.

    Args:
        estimator: of tr(H^2).
        interval: k; the penalty is applied where it divides the step.
        task: what is trained where it is not the loss that H is of, say with dropout on:
            `task(zeta, x, *labels, **arguments) -> []` in the estimator's coordinates.
        has_aux: whether `task` returns (loss, aux).

    Returns:
        `f(params, x, *labels, key=, weight=, step=, **arguments) -> (Value, gradient)`. `weight` is
        of one application (see `scale`) and may be traced: one compiled step serves all of them.
    """
    of_task = _task(estimator, task, has_aux)
    plain_step = plain_value_and_grad(estimator, task=task, has_aux=has_aux)

    def run(
        params: Params,
        x: Any,
        *labels: Any,
        key: jax.Array,
        weight: jax.Array | float,
        step: jax.Array | int = 0,
        **arguments: Any,
    ) -> tuple[Value, Params]:
        check_arguments(estimator, params, x, *labels)

        def plain() -> tuple[Value, Params]:
            return plain_step(params, x, *labels, **arguments)

        def penalized() -> tuple[Value, Params]:
            def total(params: Params) -> tuple[jax.Array, Value]:
                zeta = estimator.enter(params, x)
                loss, value = of_task(zeta, x, *labels, **arguments)
                tr_h2 = estimator.trace(zeta, x, *labels, key=key)
                return loss + weight * tr_h2, value._replace(tr_h2=tr_h2, applied=jnp.bool_(True))

            return _differentiate(total, params)

        if interval == 1:
            return penalized()
        return jax.lax.cond(jnp.asarray(step) % interval == 0, penalized, plain)

    return run


def plain_value_and_grad(
    estimator: Estimator, *, task: Callable[..., Any] | None = None, has_aux: bool = False
) -> Callable[..., tuple[Value, Params]]:
    """As `value_and_grad` at lambda = 0: `f(params, x, *labels, **arguments)`, no penalty in it."""
    of_task = _task(estimator, task, has_aux)

    def run(params: Params, x: Any, *labels: Any, **arguments: Any) -> tuple[Value, Params]:
        return _differentiate(
            lambda p: of_task(estimator.enter(p, x), x, *labels, **arguments), params
        )

    return run


def _task(
    estimator: Estimator, task: Callable[..., Any] | None, has_aux: bool
) -> Callable[..., tuple[jax.Array, Value]]:
    objective = estimator.loss if task is None else task

    def of_task(zeta: Any, *batch: Any, **arguments: Any) -> tuple[jax.Array, Value]:
        found = objective(zeta, *batch, **arguments)
        loss, aux = found if has_aux else (found, None)
        return loss, Value(loss, jnp.zeros_like(loss), jnp.bool_(False), aux)

    return of_task


def _differentiate(
    function: Callable[[Params], tuple[jax.Array, Value]], params: Params
) -> tuple[Value, Params]:
    (_, value), gradient = jax.value_and_grad(function, has_aux=True)(params)
    return value, gradient


def scale(lam: float, *, batch: int, interval: int, scaling: str) -> float:
    """The weight of tr(H^2) in the loss of a step that applies it.

    Args:
        lam: lambda, at least 0.
        batch: mini-batch size B.
        interval: the penalty is applied every `interval`-th step.
        scaling: "per_application" gives lambda / B, the original's; "interval_fold" gives
            interval * lambda / B, which keeps the mean over all steps at lambda / B.
    """
    return lam / batch * {"per_application": 1, "interval_fold": interval}[scaling]
