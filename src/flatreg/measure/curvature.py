"""Curvature of a loss at fixed parameters: traces by Hutchinson, largest eigenvalue by Lanczos.

The functions take `loss: params -> []` and any pytree of parameters; H is the Hessian there.

References:
    M. F. Hutchinson. A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines. 1990. doi:10.1080/03610919008812866.
    C. Lanczos. An iteration method for the solution of the eigenvalue problem of linear
    differential and integral operators. 1950. doi:10.6028/jres.045.026.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matfree import decomp, stochtrace
from scipy.linalg import eigvalsh_tridiagonal

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.penalty import ModelError, linen
from flatreg.penalty.estimators.autodiff import hessian_product
from flatreg.penalty.estimators.gram import gram_factor

Params = Any
Loss = Callable[[Params], jax.Array]


class Estimate(NamedTuple):
    """An estimate and its standard error."""

    value: float
    stderr: float


class Traces(NamedTuple):
    """tr(H) and tr(H^2) from one set of probes.

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


def measure_curvature(
    model: Any,
    params: Any,
    x: np.ndarray,
    y: np.ndarray,
    key: jax.Array,
    settings: MeasureSettings,
) -> dict[str, float | int | bool]:
    """tr(H), tr(H^2) and the largest eigenvalue of the mean task loss, dropout off.

    Args:
        model: of `flatreg.models.build`.
        params: its parameters.
        x: inputs [n, d].
        y: labels [n].
        key: of probes and start vectors.
        settings: of the probes and of Lanczos.
    """
    probe_key, start_key = jax.random.split(key)
    loss, origin, at = reduced(model, params, x, y)
    samples = jax.jit(
        lambda origin, at, key: trace_samples(partial(loss, at), origin, key, settings.block_probes)
    )
    blocks = (
        jax.device_get(samples(origin, at, jax.random.fold_in(probe_key, block)))
        for block in itertools.count()
    )
    estimates = traces(
        blocks, target=settings.target_relative_error, max_probes=settings.max_probes
    )
    lanczos = jax.jit(
        lambda origin, at, key: tridiagonal(partial(loss, at), origin, key, settings.lanczos_steps)
    )
    starts = jax.random.split(start_key, settings.lanczos_repeats)
    largest = largest_eigenvalue([jax.device_get(lanczos(origin, at, start)) for start in starts])
    return {
        "examples": len(y),
        "tr_h": estimates.tr_h.value,
        "tr_h_stderr": estimates.tr_h.stderr,
        "tr_h2": estimates.tr_h2.value,
        "tr_h2_stderr": estimates.tr_h2.stderr,
        "lambda_max": largest.value,
        "lambda_max_stderr": largest.stderr,
        "probes": estimates.probes,
        "reached": estimates.reached,
    }


def reduced(
    model: Any, params: Any, x: np.ndarray, y: np.ndarray
) -> tuple[Callable[[Any, Any], jax.Array], Any, Any]:
    """The loss in fewer directions, with a Hessian that has all nonzero eigenvalues of H.

    With F of `flatreg.penalty.estimators.gram`, the Hessian of e -> L(zeta + F e) is F^T H_zeta F.
    Its spectrum is that of H = J^T H_zeta J, F F^T = J J^T, except for zeros. If the first layer
    does not allow it, the directions are the model's own parameters.

    Returns:
        `loss(at, e) -> []`, the origin e = 0, and the point `at`.
    """
    try:
        layer = linen.first_layer(model, x, models.task_loss, train=False)
    except ModelError:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return partial(_moved, model), zeros, (params, x, y)
    z, rest = layer.enter(params, x)
    with jax.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64)
        factor = gram_factor(wide, bias=layer.bias, dtype=wide.dtype).astype(jnp.float32)

    def loss(at: Any, e: Any) -> jax.Array:
        z, rest, factor, x, y = at
        moved = z + factor @ e[0], jax.tree.map(jnp.add, rest, e[1])
        return layer.loss(moved, x, y)

    origin = (jnp.zeros((factor.shape[1], z.shape[1])), jax.tree.map(jnp.zeros_like, rest))
    return loss, origin, (z, rest, factor, x, y)


def _moved(model: Any, at: Any, e: Any) -> jax.Array:
    params, x, y = at
    moved = jax.tree.map(jnp.add, params, e)
    return models.loss_without_dropout(model, moved, x, y)
