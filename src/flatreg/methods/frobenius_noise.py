"""Frob-SAM: the Frobenius norm of H from losses at normal perturbations.

With u normal of variance 1, the variance of u.H u / 2 over u is tr(H^2) / 2. At a minimum
(L(theta + r u) - L(theta)) / r^2 is u.H u / 2 up to O(r), and everywhere the two-sided difference
(L(theta + r u) + L(theta - r u) - 2 L(theta)) / (2 r^2) is, up to O(r^2): it has no term of the
gradient, which would hide that of H during training. We take the latter; of n draws, twice their
unbiased variance is an unbiased estimate of ||H||_F^2 up to O(r^2).

References:
    B. Tahmasebi, A. Soleymani, D. Bahri, S. Jegelka, P. Jaillet. A universal class of
    sharpness-aware minimization algorithms. ICML 2024. arXiv:2406.03682. (Frob-SAM, with one-sided
    differences.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State


def frobenius_noise(*, radius: float = 0.01, draws: int = 2) -> Method:
    """Frob-SAM; `weight` is that of the estimate of ||H||_F^2 in the loss.

    Args:
        radius: r.
        draws: n, at least 2.
    """

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, weight: jax.Array
    ) -> Descent:
        here = inner(params, batch)
        noises = [
            optax.tree.random_like(key, params) for key in jax.random.split(batch.key, draws)
        ]
        pairs = [
            [inner(optax.tree.add_scale(params, sign * radius, u), batch) for sign in (1, -1)]
            for u in noises
        ]
        # Losses are differences of nearly equal numbers, their gradients too: both in the order
        # that cancels first.
        seconds = jnp.stack(
            [((up.loss - here.loss) + (down.loss - here.loss)) / 2 for up, down in pairs]
        ) / radius**2
        slopes = [
            jax.tree.map(
                lambda up, down, here: ((up - here) + (down - here)) / (2 * radius**2),
                up.gradient,
                down.gradient,
                here.gradient,
            )
            for up, down in pairs
        ]
        # The derivative of 2 sum_i (s_i - mean)^2 / (n - 1) is 4 sum_i (s_i - mean) s_i' / (n - 1).
        shares = 4 * (seconds - jnp.mean(seconds)) / (draws - 1)
        added = jax.tree.map(
            lambda *leaves: sum(share * leaf for share, leaf in zip(shares, leaves, strict=True)),
            *slopes,
        )
        return here._replace(
            gradient=optax.tree.add_scale(here.gradient, weight, added),
            estimate=2 * jnp.var(seconds, ddof=1),
            applied=jnp.bool_(True),
        )

    return Method(
        gradient=gradient,
        hyperparameters={"weight": Range(1e-5, 1e-1)},
        cost=1 + 2 * draws,
        reference="arXiv:2406.03682",
    )
