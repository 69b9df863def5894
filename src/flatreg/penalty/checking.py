"""Checks of values: a batch that is not finite, a gradient that does not flow."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty.errors import BatchError, DetachedError, LossError
from flatreg.penalty.estimator import Estimator, Params, check_arguments

# Relative step: far above rounding in single precision, small against the parameters.
_STEP = 1e-2


def check(estimator: Estimator, params: Params, x: Any, *labels: Any, key: jax.Array) -> None:
    """Check an estimator on one batch, outside of jit, before a training relies on it.

    Raises:
        ParameterError, LossError, BatchError: as raised by `estimator`.
        BatchError: x or the labels are not finite.
        LossError: the loss or tr(H^2), or its gradient, is not finite.
        DetachedError: the loss or tr(H^2) changes with the parameters, but its gradient is zero
            everywhere: some part of it was cut off, for example by `stop_gradient`.
        ModelError: the loss is not the one that the estimator assumes.
    """
    check_arguments(estimator, params, x, *labels)
    for name, part in [("x", x), *((f"labels[{i}]", part) for i, part in enumerate(labels))]:
        for leaf in jax.tree.leaves(part):
            if not bool(jnp.all(jnp.isfinite(leaf))):
                raise BatchError(
                    name, f"{leaf.dtype}{list(leaf.shape)} with NaN or infinity", "finite numbers"
                )
    functions = {
        "loss": lambda p: estimator.loss(estimator.enter(p, x), x, *labels),
        "tr_h2": lambda p: estimator(p, x, *labels, key=key),
    }
    moved = jax.tree.map(lambda p: p * (1 + _STEP) + _STEP, params)
    for name, function in functions.items():
        run = jax.jit(jax.value_and_grad(function))
        here, there = run(params), run(moved)
        if not _is_finite(here):
            raise LossError(name, "not finite, or its gradient", "finite numbers on this batch")
        if _is_detached(here, there):
            raise DetachedError(
                name,
                "one whose gradient is zero though it changes with params",
                "a differentiable one",
            )
    if estimator.verify is not None:
        estimator.verify(estimator.enter(params, x), x, *labels, key=key)


def _is_finite(tree: Any) -> bool:
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


def _is_detached(here: tuple[jax.Array, Params], there: tuple[jax.Array, Params]) -> bool:
    """Whether the value changes with zero gradient; one point alone may be an extremum."""
    (value, slope), (other_value, other_slope) = here, there
    if any(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves((slope, other_slope))):
        return False
    return not bool(jnp.isclose(value, other_value, rtol=1e-4, atol=0))
