"""Curvature of a loss at fixed parameters: traces by Hutchinson, largest eigenvalue by Lanczos.

The functions take `loss: params -> []` and any pytree of parameters; H is the Hessian there.

References:
    M. F. Hutchinson. A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines. 1990. doi:10.1080/03610919008812866.
    C. Lanczos. An iteration method for the solution of the eigenvalue problem of linear
    differential and integral operators. 1950. doi:10.6028/jres.045.026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matfree import decomp, stochtrace
from scipy.linalg import eigvalsh_tridiagonal

from flatreg.penalty.estimators.autodiff import hessian_product

Params = Any
Loss = Callable[[Params], jax.Array]


class Estimate(NamedTuple):
    """An estimate and its standard error."""

    value: float
    stderr: float


class Traces(NamedTuple):
    """tr(H) and tr(H^2) from one set of probes, or from none in closed form.

    Attributes:
        tr_h: in units of loss / params^2.
        tr_h2: in units of loss^2 / params^4; lower is flatter.
        probes: number of probes.
        reached: whether both relative standard errors are at most the target.
    """

    tr_h: Estimate
    tr_h2: Estimate
    probes: int
    reached: bool


def trace_samples(
    loss: Loss, params: Params, key: jax.Array, probes: int
) -> tuple[jax.Array, jax.Array]:
    """v.Hv and |Hv|^2 of Rademacher probes v, each [probes]; their means estimate the traces."""
    product = hessian_product(loss, params)
    trace, squares = stochtrace.monte_carlo_trace(), stochtrace.monte_carlo_frobeniusnorm_squared()

    def one(probe: Params) -> tuple[jax.Array, jax.Array]:
        # The compiler merges the products of both integrands into one.
        return trace(product, probe), squares(product, probe)

    return jax.lax.map(one, stochtrace.sampler_signs(params, num=probes)(key))


def coarse_tr_h2(
    loss: Loss, params: Params, key: jax.Array, probes: int
) -> tuple[jax.Array, jax.Array]:
    """tr(H^2) and its standard error from a few probes, at least 2; traceable."""
    _, samples = trace_samples(loss, params, key, probes)
    return jnp.mean(samples), jnp.std(samples, ddof=1) / jnp.sqrt(probes)


def traces(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]], *, target: float, max_probes: int
) -> Traces:
    """Add blocks of `trace_samples` until both relative standard errors reach `target`.

    Args:
        blocks: samples of tr(H) and of tr(H^2), block after block.
        target: relative standard error to reach.
        max_probes: number of probes after which to stop in any case.
    """
    h: list[float] = []
    h2: list[float] = []
    for first, second in blocks:
        h.extend(np.asarray(first, np.float64))
        h2.extend(np.asarray(second, np.float64))
        tr_h, tr_h2 = mean(h), mean(h2)
        reached = all(e.stderr <= target * abs(e.value) for e in (tr_h, tr_h2))
        if reached or len(h) >= max_probes:
            return Traces(tr_h, tr_h2, len(h), reached)
    raise ValueError("the blocks ended before the target or the maximum was reached")


def mean(samples: list[float]) -> Estimate:
    """Mean of independent samples, at least 2, and its standard error."""
    return Estimate(float(np.mean(samples)), float(np.std(samples, ddof=1) / len(samples) ** 0.5))


def tridiagonal(
    loss: Loss, params: Params, key: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Diagonal [steps] and off-diagonal [steps - 1] from Lanczos on H with a random start."""
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    product = hessian_product(loss, params)

    def flat_product(vector: jax.Array) -> jax.Array:
        return jax.flatten_util.ravel_pytree(product(unravel(vector)))[0]

    start = jax.random.normal(key, flat.shape, flat.dtype)
    lanczos = decomp.tridiag_sym(min(steps, flat.size), materialize=False)
    (_, (diagonal, off_diagonal), *_) = lanczos(flat_product, start)
    return diagonal, off_diagonal


def largest_eigenvalue(tridiagonals: list[tuple[np.ndarray, np.ndarray]]) -> Estimate:
    """The algebraically largest eigenvalue of H: mean over start vectors and its standard error.

    The Ritz value of each start is a lower bound. The spread over the starts shows how far Lanczos
    has converged; after convergence it is rounding.

    Args:
        tridiagonals: results of `tridiagonal`, at least 2.
    """
    return mean([_largest_ritz_value(*parts) for parts in tridiagonals])


def _largest_ritz_value(diagonal: np.ndarray, off_diagonal: np.ndarray) -> float:
    diagonal = np.asarray(diagonal, np.float64)
    off_diagonal = np.asarray(off_diagonal, np.float64)
    # Once the Krylov space is exhausted, the off-diagonal is rounding, and the rest is noise.
    scale = np.finfo(np.float32).eps * np.max(np.abs(diagonal[:1]), initial=0)
    ends = np.flatnonzero(~(np.abs(off_diagonal) > scale) | ~np.isfinite(diagonal[1:]))
    size = ends[0] + 1 if len(ends) else len(diagonal)
    return float(eigvalsh_tridiagonal(diagonal[:size], off_diagonal[: size - 1])[-1])
