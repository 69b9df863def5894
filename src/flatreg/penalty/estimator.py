"""The interface of all estimators of tr(H^2), and the checks of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty.errors import BatchError, LossError, ParameterError

Params = Any
Coordinates = Any


@dataclass(frozen=True)
class Estimator:
    """tr(H^2) of a loss, differentiable in the parameters: `estimator(params, x, ..., key=key)`.

    The work is done in coordinates zeta that are linear in the parameters. Only `enter` uses the
    parameters themselves, so that loss and penalty, differentiated as one function of zeta,
    need only one backward pass through it.

    Attributes:
        name: "autodiff", "gram", "exact" or "pairs".
        enter: `enter(params, x) -> zeta`.
        loss: mean task loss, `loss(zeta, x, *labels) -> []`.
        trace: `trace(zeta, x, *labels, key=key) -> []`, in units of loss^2 / params^4.
        verify: `verify(zeta, x, *labels, key=key)`, for an estimator that assumes something about
            the loss: raises ModelError if the assumption fails on this batch.
    """

    name: str
    enter: Callable[..., Coordinates]
    loss: Callable[..., jax.Array]
    trace: Callable[..., jax.Array]
    verify: Callable[..., None] | None = None

    def __call__(self, params: Params, x: Any, *labels: Any, key: jax.Array) -> jax.Array:
        """Unbiased estimate of tr(H^2) of the batch's mean loss.

        Raises:
            ParameterError: there are no parameters, or some are not real numbers.
            BatchError: the batch has no examples.
            LossError: the loss is not a single real number.
            ModelError: the model does not fit the estimator.
        """
        check_arguments(self, params, x, *labels)
        return self.trace(self.enter(params, x), x, *labels, key=key)


def check_arguments(estimator: Estimator, params: Params, x: Any, *labels: Any) -> None:
    """Check shapes and types; costs nothing once compiled.

    Raises:
        ParameterError: there are no parameters, or some are not real numbers.
        BatchError: the batch has no examples.
        LossError: the loss is not a single real number.
    """
    leaves = jax.tree.leaves_with_path(params)
    if not leaves:
        raise ParameterError("params", "empty", "at least one array to differentiate in")
    for path, leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            name = f"params{jax.tree_util.keystr(path)}"
            raise ParameterError(name, described(leaf), "an array of floating-point numbers")
    # The shape of a sparse batch differs from those of its leaves.
    for part in [x] if hasattr(x, "shape") else jax.tree.leaves(x):
        if getattr(part, "shape", ())[:1] == (0,):
            raise BatchError("x", described(part), "at least one example")
    value = jax.eval_shape(
        lambda p, *b: estimator.loss(estimator.enter(p, b[0]), *b), params, x, *labels
    )
    if not is_real_number(value):
        found = f"a function that returns {described(value)}"
        raise LossError("loss", found, "one that returns a real number, shape []")


def is_real_number(value: Any) -> bool:
    """Whether a value is a floating-point array of shape []."""
    return _is_array(value) and value.shape == () and jnp.issubdtype(value.dtype, jnp.floating)


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


def described(value: Any) -> str:
    """Type and shape of an array, or the type of any other value."""
    return f"{value.dtype}{list(value.shape)}" if _is_array(value) else type(value).__name__


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")
