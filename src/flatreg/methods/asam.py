"""Adaptive SAM: the ball is measured in units of each parameter's own size.

References:
    J. Kwon, J. Kim, H. Park, I. K. Choi. ASAM: Adaptive sharpness-aware minimization for
    scale-invariant learning of deep neural networks. ICML 2021. arXiv:2102.11600. (Algorithm 1,
    elementwise.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State


def asam(*, least: float = 0.01) -> Method:
    """ASAM; `radius` is rho.

    Args:
        least: eta, which is added to each parameter's size, so that one at 0 can move too.
    """

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, radius: jax.Array
    ) -> Descent:
        here = inner(params, batch)
        sizes = jax.tree.map(lambda p: jnp.abs(p) + least, params)
        scaled = jax.tree.map(jnp.multiply, sizes, here.gradient)
        length = radius / optax.tree.norm(scaled)
        uphill = jax.tree.map(jnp.multiply, sizes, scaled)
        there = inner(optax.tree.add_scale(params, length, uphill), batch)
        return here._replace(gradient=there.gradient)

    return Method(
        gradient=gradient,
        hyperparameters={"radius": Range(0.1, 5.0)},
        cost=2,
        reference="arXiv:2102.11600",
    )
