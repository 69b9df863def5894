"""The penalty: lambda / B * tr(H^2) of one mini-batch, differentiable.

H is the Hessian of the mini-batch's mean task loss in the parameters, dropout
off, weight decay left out. An *estimator* is built from the loss once and
returns tr(H^2) as a differentiable function of the parameters:

    estimate = autodiff(loss, probes=5, distribution="rademacher")
    value, gradient = jax.value_and_grad(estimate)(params, x, y, key)

References:
    M. F. Hutchinson. A stochastic estimator of the trace of the influence
    matrix for Laplacian smoothing splines. Communications in Statistics:
    Simulation and Computation 19(2), 1990. doi:10.1080/03610919008812866.
    B. A. Pearlmutter. Fast exact multiplication by the Hessian. Neural
    Computation 6(1), 1994. doi:10.1162/neco.1994.6.1.147.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Params = Any
Loss = Callable[[Params, jax.Array, jax.Array], jax.Array]
Estimate = Callable[[Params, jax.Array, jax.Array, jax.Array], jax.Array]

DISTRIBUTIONS = {"rademacher": jax.random.rademacher, "normal": jax.random.normal}


def autodiff(loss: Loss, *, probes: int, distribution: str) -> Estimate:
    """tr(H^2) of any loss by Hutchinson probes, h_j = H v_j forward over reverse.

    E ||H v||^2 = tr(H^2) for E v = 0, E v v^T = I. With A = H^2 one probe has
    variance 2 (||A||_F^2 - sum_i A_ii^2) if Rademacher and 2 ||A||_F^2 if normal.

    Args:
        loss: mean task loss of a batch, `loss(params, x, y) -> []`.
        probes: number M of probe vectors, at least 1.
        distribution: "rademacher" or "normal".

    Returns:
        `estimate(params, x, y, key) -> []`, unbiased, in units of loss^2 / params^4,
        and differentiable in `params`.
    """

    def estimate(params: Params, x: jax.Array, y: jax.Array, key: jax.Array) -> jax.Array:
        def squared_norm(probe_key: jax.Array) -> jax.Array:
            probe = draw_probe(params, probe_key, distribution)
            return _squared_norm(hessian_vector_product(loss, params, probe, x, y))

        # One probe after another: as fast on a CPU as unrolled, memory and compile time
        # do not grow with M.
        return jnp.mean(jax.lax.map(squared_norm, jax.random.split(key, probes)))

    return estimate


ESTIMATORS = {"autodiff": autodiff}


def scale(lam: float, *, batch: int, interval: int, scaling: str) -> float:
    """The factor of tr(H^2) in the loss of a step that applies it.

    Args:
        lam: lambda, at least 0.
        batch: mini-batch size B.
        interval: the penalty is applied every `interval`-th step.
        scaling: "per_application" gives lambda / B, the original's; "interval_fold" gives
            interval * lambda / B, which keeps the mean over all steps at lambda / B.
    """
    return lam / batch * {"per_application": 1, "interval_fold": interval}[scaling]


def hessian_vector_product(
    loss: Loss, params: Params, vector: Params, x: jax.Array, y: jax.Array
) -> Params:
    """H v, the derivative of the gradient along `vector` (shapes as `params`)."""
    return jax.jvp(lambda p: jax.grad(loss)(p, x, y), (params,), (vector,))[1]


def draw_probe(params: Params, key: jax.Array, distribution: str) -> Params:
    """One random vector of independent entries, mean 0 and variance 1, shaped as `params`."""
    leaves, structure = jax.tree.flatten(params)
    draw = DISTRIBUTIONS[distribution]
    keys = jax.random.split(key, len(leaves))
    probes = [draw(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, probes)


def _squared_norm(tree: Params) -> jax.Array:
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))
