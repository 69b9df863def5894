"""How a model begins: with a layer that is linear in its parameters, on a fixed input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO

from flatreg.penalty.estimator import Params


class FirstLayer(NamedTuple):
    """z = x kernel + bias, and the loss as a function of z and of what is left.

    A convolution is linear in its parameters too, but gains nothing: a picture has more
    positions than a filter has weights.

    Attributes:
        split: `split(params) -> (kernel [d, h], bias [h] or None, rest)`.
        loss: mean task loss of a batch, `loss((z, rest), x, *labels) -> []`, z [B, h].
        bias: whether the layer has one.
    """

    split: Callable[[Params], tuple[jax.Array, jax.Array | None, Any]]
    loss: Callable[..., jax.Array]
    bias: bool = True

    def enter(self, params: Params, x: Any) -> tuple[jax.Array, Any]:
        """The coordinates (z, rest) of parameters on inputs x [B, d]."""
        kernel, bias, rest = self.split(params)
        z = x @ kernel
        return (z if bias is None else z + bias), rest


def gram_matrix(x: Any, *, bias: bool) -> jax.Array:
    """K = [x, 1] [x, 1]^T, or x x^T without a bias: [B, B]."""
    products = x @ (x.todense() if isinstance(x, BCOO) else x).T
    return products + jnp.ones_like(products) if bias else products
