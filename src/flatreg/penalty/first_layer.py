"""Models whose first layer is linear in its parameters, on a fixed input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO

from flatreg.penalty.errors import BatchError, ModelError
from flatreg.penalty.estimator import Params, described
from flatreg.penalty.subset import Selected, Taken, Where, parts_taken


class TakenParts(NamedTuple):
    """Where H is taken in the parameters of a `FirstLayer`.

    Attributes:
        layer: in its kernel and bias.
        rest: in each leaf of the third part of `split`.
    """

    layer: Taken
    rest: tuple[bool, ...]


class FirstLayer(NamedTuple):
    """The layer z = x kernel + bias, and the loss as a function of z and the other parameters.

    A convolution is linear in its parameters too, but gains nothing: a picture has more
    positions than a filter has weights.

    Attributes:
        split: `split(params) -> (kernel [d, h], bias [h] or None, rest)`. It only rearranges: each
            parameter is in exactly one part, unchanged. With a kernel that is a function of the
            parameters (masked, scaled), the Hessian would be another.
        loss: mean task loss of a batch, `loss((z, rest), x, *labels) -> []`, z [B, h].
        bias: whether the layer has a bias.
    """

    split: Callable[[Params], tuple[jax.Array, jax.Array | None, Any]]
    loss: Callable[..., jax.Array]
    bias: bool = True

    def enter(self, params: Params, x: Any, where: Where | None = None) -> tuple[jax.Array, Any]:
        """The coordinates (z, rest) of the parameters on inputs x [B, d].

        Args:
            params: parameters of the model.
            x: inputs.
            where: the parameters that H is taken in, as of `autodiff`; by default all.

        Raises:
            BatchError: x is not a matrix.
            ModelError: the parts of `split` have wrong shapes, or do not cover the parameters.
            ParameterError: `where` selects no parameters, or a part of an array, or does not fit.
        """
        kernel, bias, rest = self.split(params)
        if x.ndim != 2:
            raise BatchError("x", described(x), "a matrix: an example a row")
        self._check_parts(params, kernel, bias, rest)
        z = x @ kernel
        zeta = (z if bias is None else z + bias[None]), rest
        if where is None:
            return zeta
        kernel, bias, rest = parts_taken(where, params, self.split)
        return Selected(zeta, TakenParts(Taken(kernel, bool(bias)), tuple(jax.tree.leaves(rest))))

    def taken(self, zeta: tuple[jax.Array, Any]) -> TakenParts:
        """Where H is taken in the parameters of these coordinates."""
        if isinstance(zeta, Selected):
            return zeta.taken
        return TakenParts(Taken(True, self.bias), (True,) * len(jax.tree.leaves(zeta[1])))

    def _check_parts(self, params: Params, kernel: Any, bias: Any, rest: Any) -> None:
        if kernel.ndim != 2:
            raise ModelError("layer", f"of kernel {described(kernel)}", "a matrix [d, h]")
        if (bias is not None) != self.bias:
            found = "without the bias that `bias` promises" if self.bias else "with a bias"
            raise ModelError("layer", found, "bias=True where split gives one, else bias=False")
        if bias is not None and bias.shape != kernel.shape[1:]:
            raise ModelError("layer", f"of bias {described(bias)}", f"{list(kernel.shape[1:])}")
        given, all_of_it = (
            sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(tree))
            for tree in ((kernel, bias, rest), params)
        )
        if given != all_of_it:
            found = f"split into {given} numbers of {all_of_it}"
            raise ModelError("layer", found, "each parameter in one part, once")


def dense(x: Any) -> Any:
    """A batch [B, d], sparse or dense, as a dense array."""
    return x.todense() if isinstance(x, BCOO) else x


def gram_matrix(x: Any, *, bias: bool, dtype: Any) -> jax.Array:
    """K = [x, 1] [x, 1]^T, or x x^T without a bias: [B, B], in a floating-point type."""
    x = x.astype(dtype)
    products = x @ dense(x).T
    return products + jnp.ones_like(products) if bias else products


def taken_gram(x: Any, taken: Taken, dtype: Any) -> jax.Array:
    """K [B, B] of the columns of [x, 1] whose parameters H is taken in."""
    if taken.kernel:
        return gram_matrix(x, bias=taken.bias, dtype=dtype)
    return jnp.full((x.shape[0],) * 2, taken.bias, dtype)
