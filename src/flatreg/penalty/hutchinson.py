"""Hutchinson's estimate of tr(A^2) for a symmetric A given by its products.

E ||A v||^2 = tr(A^2) for E v = 0, E v v^T = I. With S = A^2 one probe has variance
2 (||S||_F^2 - sum_i S_ii^2) if Rademacher and 2 ||S||_F^2 if normal.

References:
    M. F. Hutchinson. A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines. Communications in Statistics: Simulation and Computation 19(2), 1990.
    doi:10.1080/03610919008812866.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty.probes import draw


def trace_of_square(
    product: Callable[[Any], Any], like: Any, key: jax.Array, *, probes: int, distribution: str
) -> jax.Array:
    """Mean of ||A v||^2 over probes v.

    Args:
        product: the map v -> A v.
        like: any tree with the structure, shapes and types of v.
        key: of the probes.
        probes: how many.
        distribution: of their entries.
    """
    norms = [
        _squared_norm(product(draw(like, k, distribution))) for k in jax.random.split(key, probes)
    ]
    return sum(norms) / probes


def _squared_norm(tree: Any) -> jax.Array:
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))
