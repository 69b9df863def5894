"""tr(H^2) and its gradient from a dense Hessian in float64, without any part of the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree


def tr_h2_of(loss: Callable[[Any], Any], params: Any) -> tuple[float, np.ndarray]:
    """||H||_F^2 of `loss(params) -> []`, and its gradient, as one vector [n]."""
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(double, params))

        def tr_h2(flat: Any) -> Any:
            return jnp.sum(jax.hessian(lambda p: loss(unravel(p)))(flat) ** 2)

        value, gradient = jax.jit(jax.value_and_grad(tr_h2))(flat)
        return float(value), np.asarray(gradient)


def double(leaf: Any) -> jax.Array:
    return jnp.asarray(np.asarray(leaf, np.float64))
