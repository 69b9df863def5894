"""Traces and largest eigenvalue of a trained model's Hessian, in few coordinates if it allows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure.closed_form import exact_traces
from flatreg.measure.curvature import largest_eigenvalue, trace_samples, traces, tridiagonal
from flatreg.penalty import FirstLayer, ModelError, linen
from flatreg.penalty.estimators.gram import gram_factor


def measure_curvature(
    model: nn.Module,
    params: Any,
    x: np.ndarray,
    y: np.ndarray,
    key: jax.Array,
    settings: MeasureSettings,
) -> dict[str, float | int | bool]:
    """tr(H), tr(H^2) and the largest eigenvalue of the mean task loss, dropout off.

    The traces are exact where the model has a closed form, else estimates from probes.

    Args:
        model: of `flatreg.models.build`.
        params: its parameters.
        x: inputs [n, d].
        y: labels [n].
        key: of probes and start vectors.
        settings: of the probes and of Lanczos.
    """
    probe_key, start_key = jax.random.split(key)
    origin, at = reduced(model, params, x, y)
    probes, steps = settings.block_probes, settings.lanczos_steps
    blocks = (
        jax.device_get(_samples(model, probes, origin, at, jax.random.fold_in(probe_key, block)))
        for block in itertools.count()
    )
    estimates = exact_traces(model, params, x, y) or traces(
        blocks, target=settings.target_relative_error, max_probes=settings.max_probes
    )
    starts = jax.random.split(start_key, settings.lanczos_repeats)
    tridiagonals = [_tridiagonal(model, steps, origin, at, start) for start in starts]
    largest = largest_eigenvalue(jax.device_get(tridiagonals))
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


# With equal models, all runs of a job share one compilation.
@partial(jax.jit, static_argnums=(0, 1))
def _samples(model: nn.Module, probes: int, origin: Any, at: Any, key: jax.Array) -> Any:
    return trace_samples(reduced_loss(model, at), origin, key, probes)


@partial(jax.jit, static_argnums=(0, 1))
def _tridiagonal(model: nn.Module, steps: int, origin: Any, at: Any, key: jax.Array) -> Any:
    return tridiagonal(reduced_loss(model, at), origin, key, steps)


class Point(NamedTuple):
    """Where the Hessian is taken.

    Attributes:
        params: of the model; of one whose first layer is dense, the output of that layer and the
            other parameters.
        factor: F of `reduced`; None if the directions are the model's own parameters.
        x: inputs [n, d].
        y: labels [n].
    """

    params: Any
    factor: jax.Array | None
    x: Any
    y: Any


def reduced(model: nn.Module, params: Any, x: np.ndarray, y: np.ndarray) -> tuple[Any, Point]:
    """Fewer directions, in which the loss has a Hessian with all nonzero eigenvalues of H.

    With F of `flatreg.penalty.estimators.gram`, the Hessian of e -> L(zeta + F e) is F^T H_zeta F.
    Its spectrum is that of H = J^T H_zeta J, F F^T = J J^T, except for zeros. If the first layer
    does not allow it, the directions are the model's own parameters.

    Returns:
        The origin e = 0, and the point of `reduced_loss`.
    """
    layer = _first_layer(model, x)
    if layer is None:
        return jax.tree.map(jnp.zeros_like, params), Point(params, None, x, y)
    z, rest = layer.enter(params, x)
    with jax.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64)
        factor = gram_factor(wide, bias=layer.bias, dtype=wide.dtype).astype(jnp.float32)
    origin = (jnp.zeros((factor.shape[1], z.shape[1])), jax.tree.map(jnp.zeros_like, rest))
    return origin, Point((z, rest), factor, x, y)


def reduced_loss(model: nn.Module, at: Point) -> Callable[[Any], jax.Array]:
    """The loss as a function of the directions of `reduced`: `loss(e) -> []`."""
    if at.factor is None:
        return lambda e: models.loss_without_dropout(
            model, jax.tree.map(jnp.add, at.params, e), at.x, at.y
        )
    layer, (z, rest) = _first_layer(model, at.x), at.params

    def loss(e: Any) -> jax.Array:
        moved = z + at.factor @ e[0], jax.tree.map(jnp.add, rest, e[1])
        return layer.loss(moved, at.x, at.y)

    return loss


def _first_layer(model: nn.Module, x: Any) -> FirstLayer | None:
    """The model's first layer and the rest of it as a loss; None if the first is not dense."""
    try:
        return linen.first_layer(model, x, models.task_loss, train=False)
    except ModelError:
        return None
