"""Sharpness-aware minimization: the gradient at the worst point of a ball, to first order.

References:
    P. Foret, A. Kleiner, H. Mobahi, B. Neyshabur. Sharpness-aware minimization for efficiently
    improving generalization. ICLR 2021. arXiv:2010.01412. (Equation 2 and Algorithm 1.)
"""

from __future__ import annotations

import jax
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State


def sam() -> Method:
    """SAM; `radius` is rho, the Euclidean radius of the ball."""

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, radius: jax.Array
    ) -> Descent:
        here = inner(params, batch)
        length = radius / optax.tree.norm(here.gradient)
        there = inner(optax.tree.add_scale(params, length, here.gradient), batch)
        return here._replace(gradient=there.gradient)

    return Method(
        gradient=gradient,
        hyperparameters={"radius": Range(0.01, 1.0)},
        cost=2,
        reference="arXiv:2010.01412",
    )
