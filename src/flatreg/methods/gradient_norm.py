"""A penalty on the gradient's norm: L + lambda |grad L|, by a finite difference.

The gradient of |grad L| is H g / |g|. Along u = g / |g| it is (grad L(theta + r u) - g) / r up to
O(r), so that the whole gradient is (1 - a) g + a grad L(theta + r u) with a = lambda / r; a = 1 is
SAM with the radius r.

References:
    Y. Zhao, H. Zhang, X. Hu. Penalizing gradient norm for efficiently improving generalization in
    deep learning. ICML 2022. arXiv:2202.03599. (Equation 9 and Algorithm 1.)
"""

from __future__ import annotations

import jax
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State


def gradient_norm(*, balance: float = 0.8) -> Method:
    """GNP; `radius` is r.

    Args:
        balance: a, the share of the gradient at theta + r u; 0.8 is the paper's.
    """

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, radius: jax.Array
    ) -> Descent:
        here = inner(params, batch)
        length = radius / optax.tree.norm(here.gradient)
        there = inner(optax.tree.add_scale(params, length, here.gradient), batch)
        mixed = jax.tree.map(
            lambda g, away: (1 - balance) * g + balance * away, here.gradient, there.gradient
        )
        return here._replace(gradient=mixed)

    return Method(
        gradient=gradient,
        hyperparameters={"radius": Range(0.01, 1.0)},
        cost=2,
        reference="arXiv:2202.03599",
    )
