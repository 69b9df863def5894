"""Noise stability optimization: the mean gradient at theta + u and theta - u.

With u normal of variance sigma^2, (L(theta + u) + L(theta - u)) / 2 has the mean
L + sigma^2 tr(H) / 2 + O(sigma^4), and no noise of first order in sigma.

References:
    H. R. Zhang, D. Li, H. Ju. Noise stability optimization for finding flat minima: a Hessian-based
    regularization approach. TMLR 2024. arXiv:2306.08553. (Algorithm 1.)
"""

from __future__ import annotations

import jax
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State


def two_sided_noise(*, draws: int = 1) -> Method:
    """NSO; `scale` is sigma.

    Args:
        draws: of u on a mini-batch.
    """

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, scale: jax.Array
    ) -> Descent:
        seen = [
            inner(optax.tree.add_scale(params, sign * scale, noise), batch)
            for key in jax.random.split(batch.key, draws)
            for noise in [optax.tree.random_like(key, params)]
            for sign in (1, -1)
        ]
        mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *seen)
        return mean._replace(hits=seen[0].hits)

    return Method(
        gradient=gradient,
        hyperparameters={"scale": Range(0.0003, 0.03)},
        cost=2 * draws,
        reference="arXiv:2306.08553",
    )
