"""Traces and largest eigenvalue of a trained model's Hessian, in few coordinates if it allows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure.curvature import largest_eigenvalue, trace_samples, traces, tridiagonal
from flatreg.penalty import ModelError, linen
from flatreg.penalty.estimators.gram import gram_factor


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
