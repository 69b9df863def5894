"""The interface of all estimators, and the checks of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg.penalty.errors import BatchError, LossError, ModelError, ParameterError
from flatreg.penalty.manual_axes import varying_axes

Params = Any
Coordinates = Any


@dataclass(frozen=True)
class Estimator:
    """A trace of a loss, differentiable in the parameters: `estimator(params, x, ..., key=key)`.

    Which trace is said by `target`. H_b is the Hessian of the mini-batch's mean loss, H that of the
    loss that the mini-batch is a sample of; G_b and G are their Gauss-Newton parts.

    The work is done in coordinates zeta that are linear in the parameters. Only `enter` uses the
    parameters themselves, so that loss and penalty, differentiated as one function of zeta,
    need only one backward pass through it.

    Attributes:
        name: of the function that made it, such as "autodiff".
        target: what the estimate is unbiased for: "tr(H_b^2)", "tr(H^2)", "tr(G_b^2)", "tr(G^2)",
            "tr(H_b)" or "tr(G_b)".
        enter: `enter(params, x) -> zeta`.
        loss: mean task loss, `loss(zeta, x, *labels, **arguments) -> []`.
        trace: `trace(zeta, x, *labels, key=key, **arguments) -> []`, in units of
            loss^2 / params^4 for the trace of a square, else of loss / params^2; the arguments are
            those of the loss.
        verify: `verify(zeta, x, *labels, key=key)`, for an estimator that assumes something about
            the loss: raises ModelError if the assumption fails on this batch.
    """

    name: str
    target: str
    enter: Callable[..., Coordinates]
    loss: Callable[..., jax.Array]
    trace: Callable[..., jax.Array]
    verify: Callable[..., None] | None = None

    def __call__(
        self, params: Params, x: Any, *labels: Any, key: jax.Array, **arguments: Any
    ) -> jax.Array:
        """Unbiased estimate of `target`.

        Raises:
            ParameterError: there are no parameters, or some are not real numbers.
            BatchError: the batch has no examples, or a part that is no array.
            LossError: the loss is not a single real number.
            ModelError: the model does not fit the estimator; outside of jit, also if what the
                estimator assumes about the loss fails on this batch.
        """
        check_arguments(self, params, x, *labels, **arguments)
        estimate = self.trace(self.enter(params, x), x, *labels, key=key, **arguments)
        verify_where_known(self, params, x, *labels)
        return estimate


def check_arguments(
    estimator: Estimator, params: Params, x: Any, *labels: Any, **arguments: Any
) -> None:
    """Check shapes and types; costs nothing once compiled.

    Raises:
        ParameterError: there are no parameters, or some are not real numbers.
        BatchError: the batch has no examples, or a part that is no array.
        LossError: the loss is not a single real number.
        ModelError: inside `jax.shard_map`, the loss is that of all devices' examples, but the
            estimator sees its own device's.
    """
    _check_parameters(params)
    _check_batch(x, *labels)

    def enter_and_loss(params: Params, x: Any, *labels: Any) -> tuple[Coordinates, Any]:
        zeta = estimator.enter(params, x)
        return zeta, estimator.loss(zeta, x, *labels, **arguments)

    zeta, value = jax.eval_shape(enter_and_loss, params, x, *labels)
    if not is_real_number(value):
        found = f"a function that returns {described(value)}"
        raise LossError("loss", found, "one that returns a real number, shape []")
    unseen = varying_axes(zeta) - varying_axes(params) - varying_axes(value)
    if unseen:
        raise ModelError(
            "loss",
            f"one of all devices along {', '.join(map(repr, sorted(unseen)))}",
            f"each device's own, as `{estimator.name}` sees its own examples; `autodiff` fits, as"
            " does `shard_batch` in place of shard_map",
        )


def _check_parameters(params: Params) -> None:
    leaves = jax.tree.leaves_with_path(params)
    if not leaves:
        raise ParameterError("params", "empty", "at least one array to differentiate in")
    for path, leaf in leaves:
        if not (is_numeric(leaf) and jnp.issubdtype(jnp.result_type(leaf), jnp.floating)):
            name = f"params{jax.tree_util.keystr(path)}"
            shape_alone = isinstance(leaf, jax.ShapeDtypeStruct)
            found = "a ShapeDtypeStruct" if shape_alone else described(leaf)
            raise ParameterError(name, found, "an array of floating-point numbers")


def _check_batch(x: Any, *labels: Any) -> None:
    # The shape of a sparse batch differs from those of its leaves.
    for part in [x] if hasattr(x, "shape") else jax.tree.leaves(x):
        if getattr(part, "shape", ())[:1] == (0,):
            raise BatchError("x", described(part), "at least one example")
    for name, part in [("x", x), *((f"labels[{i}]", part) for i, part in enumerate(labels))]:
        for path, leaf in jax.tree.leaves_with_path(part):
            if not is_numeric(leaf):
                raise BatchError(name + jax.tree_util.keystr(path), described(leaf), "an array")


def verify_where_known(estimator: Estimator, params: Params, x: Any, *labels: Any) -> None:
    """Verify what the estimator assumes about the loss, where the numbers are known: not in jit.

    Raises:
        ModelError: the assumption fails on this batch.
    """
    if estimator.verify is not None and not is_traced((params, x, labels)):
        zeta = estimator.enter(params, x)
        estimator.verify(zeta, x, *labels, key=jax.random.key(0))


def refuse_arguments(where: str, arguments: dict[str, Any]) -> None:
    """Refuse keyword arguments of the loss, for an estimator that does not know what they change.

    Raises:
        ModelError: there are some.
    """
    if arguments:
        raise ModelError(
            where,
            f"given {', '.join(arguments)} by keyword",
            "inputs and labels alone, for this closed form; `gram` fits any loss",
        )


def named(function: Callable[..., Any]) -> set[str]:
    """The arguments that a function names, and that can be given by keyword."""
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {name for name, found in signature(function).parameters.items() if found.kind in kinds}


def is_traced(tree: Any) -> bool:
    """Whether numbers are unknown, as in jit, grad and vmap; in jit, constants are so too."""
    constant = jnp.ones(())
    return any(isinstance(leaf, jax.core.Tracer) for leaf in [*jax.tree.leaves(tree), constant])


def is_real_number(value: Any) -> bool:
    """Whether a value is a floating-point array of shape []."""
    return _is_array(value) and value.shape == () and jnp.issubdtype(value.dtype, jnp.floating)


def is_numeric(leaf: Any) -> bool:
    """Whether this is an array of JAX's or NumPy's, or a number."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.kind not in "OSUMm"
    return isinstance(leaf, jax.Array | Real) or hasattr(leaf, "__jax_array__")


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


def described(value: Any) -> str:
    """Type and shape of an array, or the type of any other value."""
    return f"{value.dtype}{list(value.shape)}" if _is_array(value) else type(value).__name__


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")
