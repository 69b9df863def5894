"""Checks of values: a batch that is not finite, a gradient that does not flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flatreg.penalty import hutchinson
from flatreg.penalty.errors import ArgumentError, BatchError, DetachedError, LossError, ModelError
from flatreg.penalty.estimator import Estimator, Params, check_arguments, is_traced
from flatreg.penalty.estimators.autodiff import hessian_product

# Relative step: far above rounding in single precision, small against the parameters.
_STEP = 1e-2
# Relative difference of two ways to one derivative: far above that of products in TF32.
_SAME = 3e-2


def check(
    estimator: Estimator,
    params: Params,
    x: Any,
    *labels: Any,
    key: jax.Array,
    reference: Callable[..., jax.Array] | None = None,
    **arguments: Any,
) -> None:
    """Check an estimator on one batch, outside of jit, before a training relies on it.

    Args:
        estimator: the estimator.
        params: parameters of the model.
        x: inputs of the batch.
        *labels: its labels.
        key: random key for the probes.
        reference: the model's own loss, `reference(params, x, *labels, **arguments) -> []`, to hold
            that of the estimator against, such as one of a `FirstLayer` written by hand.
        **arguments: keyword arguments of the loss.

    Raises:
        ParameterError, LossError, BatchError: as raised by `estimator`.
        ArgumentError: called inside jit or another transformation, where no number is known.
        BatchError: x or the labels are not finite.
        LossError: the loss or the estimate, or its gradient, is not finite.
        DetachedError: the loss or the estimate changes with the parameters, but its gradient is
            zero everywhere: some part of it was cut off, for example by `stop_gradient`.
        ModelError: the loss is not the one that the estimator assumes, or not `reference`.
    """
    if is_traced((params, x, labels, key, arguments)):
        raise ArgumentError("check", "called inside jit, grad or vmap", "a call outside of them")
    check_arguments(estimator, params, x, *labels, **arguments)
    _check_batch(x, *labels)

    def loss(params: Params) -> jax.Array:
        return estimator.loss(estimator.enter(params, x), x, *labels, **arguments)

    def estimate(params: Params) -> jax.Array:
        return estimator(params, x, *labels, key=key, **arguments)

    if reference is not None:
        _check_same(loss, lambda p: reference(p, x, *labels, **arguments), params, key)
    moved = jax.tree.map(lambda p: p * (1 + _STEP) + _STEP, params)
    for name, function in (("loss", loss), (estimator.target, estimate)):
        _check_derivative(name, function, params, moved)
    if estimator.verify is not None:
        estimator.verify(estimator.enter(params, x), x, *labels, key=key)


def _check_batch(x: Any, *labels: Any) -> None:
    for name, part in [("x", x), *((f"labels[{i}]", part) for i, part in enumerate(labels))]:
        for leaf in jax.tree.leaves(part):
            if not bool(jnp.all(jnp.isfinite(leaf))):
                raise BatchError(
                    name, f"{leaf.dtype}{list(leaf.shape)} with NaN or infinity", "finite numbers"
                )


def _check_derivative(
    name: str, function: Callable[[Params], jax.Array], params: Params, moved: Params
) -> None:
    """Check a function's value and gradient in two points."""
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


def _check_same(
    loss: Callable[[Params], jax.Array],
    reference: Callable[[Params], jax.Array],
    params: Params,
    key: jax.Array,
) -> None:
    """Check that two losses have one value, gradient and H v, along a random direction v."""
    v = hutchinson.draw(params, key, "normal")
    parts = {
        "value": lambda f: f(params),
        "gradient": lambda f: jax.grad(f)(params),
        "Hessian": lambda f: hessian_product(f, params)(v),
    }
    for name, part in parts.items():
        ours, theirs = (ravel_pytree(part(function))[0] for function in (loss, reference))
        if not jnp.linalg.norm(ours - theirs) <= _SAME * jnp.linalg.norm(theirs):
            found = f"a function whose {name} is not that of `reference`"
            raise ModelError("loss", found, "the same function of the parameters")


def _is_finite(tree: Any) -> bool:
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


def _is_detached(here: tuple[jax.Array, Params], there: tuple[jax.Array, Params]) -> bool:
    """Whether the value changes with zero gradient; one point alone may be an extremum."""
    (value, slope), (other_value, other_slope) = here, there
    if any(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves((slope, other_slope))):
        return False
    return not bool(jnp.isclose(value, other_value, rtol=1e-4, atol=0))
