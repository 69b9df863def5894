"""tr(H^2) of softmax and logistic regression in closed form: no probes, no variance.

With the predicted probabilities p_i of example i, A_i = diag(p_i) - p_i p_i^T and
K = [x, 1] [x, 1]^T,

    tr(H^2) = 1/B^2 sum_ij K_ij^2 tr(A_i A_j),
    tr(A_i A_j) = p_i.p_j - p_i^2.p_j - p_i.p_j^2 + (p_i.p_j)^2,

and for a single logit (sigmoid) tr(A_i A_j) = a_i a_j, a = p (1 - p).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty.cross_entropy import curvature_along, curvature_products
from flatreg.penalty.errors import ModelError
from flatreg.penalty.estimator import Estimator, refuse_arguments
from flatreg.penalty.estimators.autodiff import hessian_product
from flatreg.penalty.first_layer import FirstLayer, taken_gram
from flatreg.penalty.subset import Where

TARGET = "tr(H_b^2)"
NEEDS = "dense_only"


def exact(layer: FirstLayer, *, where: Where | None = None) -> Estimator:
    """Closed form of tr(H^2), for a model whose first layer's outputs are the logits.

    Args:
        layer: the model's only layer; its loss is the mean cross-entropy of z, with a sigmoid
            ([B, 1]) or a softmax ([B, C]).
        where: the parameters that H is taken in, as of `autodiff`: kernel, bias, or by default
            both.

    Raises:
        ParameterError: at a call, `where` selects no parameters, or a part of an array, or does
            not fit them.
        ModelError: at a call, if there are parameters outside the layer, or the loss has keyword
            arguments, which the closed form does not know; in `check`, and at a call outside of
            jit and other transformations, if the loss is not this cross-entropy on the batch.
    """

    def trace(
        zeta: tuple[jax.Array, Any], x: Any, *_: Any, key: jax.Array, **arguments: Any
    ) -> jax.Array:
        del key
        refuse_arguments("layer.loss", arguments)
        z, rest = zeta
        if jax.tree.leaves(rest):
            raise ModelError(
                "layer",
                f"followed by {len(jax.tree.leaves(rest))} more arrays of parameters",
                "the only layer (softmax or logistic regression); `gram` fits this model",
            )
        k = taken_gram(x, layer.taken(zeta).layer, z.dtype)
        return jnp.sum(k**2 * curvature_products(z)) / z.shape[0] ** 2

    def verify(zeta: tuple[jax.Array, Any], *batch: Any, key: jax.Array) -> None:
        z, rest = zeta
        u = jax.random.normal(key, z.shape, z.dtype)
        found = hessian_product(lambda z: layer.loss((z, rest), *batch), z)(u)
        expected = curvature_along(z, u) / z.shape[0]
        rounding = float(jnp.finfo(z.dtype).eps)
        rough = max(1e-3, 4 * rounding)
        # Saturated probabilities leave nothing but the rounding of 1 - p.
        allowed = rough * jnp.max(jnp.abs(expected)) + rounding * jnp.max(jnp.abs(u)) / z.shape[0]
        if not jnp.allclose(found, expected, rtol=rough, atol=allowed):
            raise ModelError(
                "layer.loss",
                "another function of the outputs",
                "their mean cross-entropy under a sigmoid ([B, 1]) or a softmax ([B, C]); `gram`"
                " fits any loss",
            )

    enter = partial(layer.enter, where=where)
    return Estimator("exact", TARGET, enter, layer.loss, trace, verify)
