"""tr(H^2) for a first layer that is linear in its parameters: probes in few dimensions.

With z = [x, 1] W and zeta = (z, other parameters), the map theta -> zeta is linear on a batch, so
H_theta = J^T H_zeta J. With S = J J^T = blockdiag(K (x) I, I), K = [x, 1] [x, 1]^T = F F^T,

    tr(H_theta^2) = tr(S H_zeta S H_zeta) = tr(A^2),   A = F^T H_zeta F.

F has min(B, d + 1) columns: the probes of the largest layer shrink from d to min(B, d + 1) rows,
and the penalty has no products of width d in that layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty import hutchinson
from flatreg.penalty.estimator import Estimator
from flatreg.penalty.estimators.autodiff import hessian_product
from flatreg.penalty.first_layer import FirstLayer, dense, gram_matrix
from flatreg.penalty.manual_axes import axes_of_loss, vary
from flatreg.penalty.subset import Taken, Where, partition

TARGET = "tr(H_b^2)"
NEEDS = "dense_first"

# Rows of which the longest is up to ten times as long as the shortest are all raised alike.
_MOST = 100


def gram(
    layer: FirstLayer,
    *,
    probes: int = 5,
    distribution: str = "rademacher",
    where: Where | None = None,
) -> Estimator:
    """Hutchinson's estimator over the first layer's outputs and the other parameters.

    With normal probes its distribution is that of `autodiff`; with Rademacher probes the mean is
    the same, but not the distribution.

    Args:
        layer: the model's first layer.
        probes: number M of probe vectors.
        distribution: "rademacher" or "normal".
        where: the parameters that H is taken in, as of `autodiff`; by default all. An array that
            `split` returns is selected as a whole.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
        ParameterError: at a call, `where` selects no parameters, or a part of an array, or does
            not fit them.
    """
    hutchinson.check_probes(probes, distribution)

    def trace(
        zeta: tuple[jax.Array, Any], x: Any, *labels: Any, key: jax.Array, **arguments: Any
    ) -> jax.Array:
        def loss(zeta: tuple[jax.Array, Any]) -> jax.Array:
            return layer.loss(zeta, x, *labels, **arguments)

        axes = axes_of_loss(loss, zeta)
        zeta = vary(zeta, axes)
        product, like = reduced_product(layer, loss, zeta, x)
        return hutchinson.trace_of_square(
            product, like, key, probes=probes, distribution=distribution, axes=axes
        )

    enter = partial(layer.enter, where=where)
    return Estimator("gram", TARGET, enter, layer.loss, trace)


def reduced_product(
    layer: FirstLayer,
    loss: Callable[[tuple[jax.Array, Any]], jax.Array],
    zeta: tuple[jax.Array, Any],
    x: Any,
) -> tuple[Callable[[Any], Any], Any]:
    """The map v -> A v, and zeros like v.

    Args:
        layer: the model's first layer.
        loss: of zeta, on the batch.
        zeta: the coordinates (z, other parameters).
        x: inputs [B, d].
    """
    taken, (z, rest) = layer.taken(zeta), zeta
    factor = _factor(x, z, taken.layer)
    ours, join = partition(taken.rest, rest)
    along = hessian_product(lambda both: loss((both[0], join(both[1]))), (z, ours))

    def product(probe: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        first, others = along((factor @ probe[0], probe[1]))
        return factor.T @ first, others

    return product, (jnp.zeros_like(z, shape=(factor.shape[1], z.shape[1])), ours)


def _factor(x: Any, z: jax.Array, taken: Taken) -> jax.Array:
    """F of the first layer's parameters that H is taken in: without the kernel, ones or nothing."""
    if taken.kernel:
        return gram_factor(x, bias=taken.bias, dtype=z.dtype)
    return jnp.ones_like(z, shape=(z.shape[0], int(taken.bias)))


def gram_factor(x: Any, *, bias: bool, dtype: Any) -> jax.Array:
    """F with F F^T = K [B, B] and min(B, d + 1) columns; see `gram_matrix` for K.

    Equal or dependent rows make K singular, without a Cholesky factor. So each entry of the
    diagonal is raised by the rounding error of the largest one, but by no more than `_MOST` times
    its own: a row that is longer than the others by orders of magnitude does not drown them.
    """
    examples, width = x.shape
    if width + bias <= examples:
        x = dense(x).astype(dtype)
        return jnp.concatenate([x, jnp.ones_like(x[:, :1])], axis=1) if bias else x
    # JAX has no Cholesky factorization in half precision.
    k = gram_matrix(x, bias=bias, dtype=jnp.promote_types(dtype, jnp.float32))
    own, rounding = jnp.diagonal(k), jnp.finfo(k.dtype)
    lift = 2 * examples * rounding.eps * jnp.minimum(jnp.max(own), _MOST * own)
    lifted = k + jnp.maximum(lift, rounding.tiny) * jnp.eye(examples, dtype=k.dtype)
    return jnp.linalg.cholesky(lifted).astype(dtype)
