"""Traces and largest eigenvalue of a trained model's Hessian, in few coordinates if it allows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure.closed_form import exact_traces
from flatreg.measure.curvature import (
    Estimate,
    Traces,
    largest_eigenvalue,
    trace_samples,
    traces,
    tridiagonal,
)
from flatreg.measure.lanes import Lane, each
from flatreg.penalty import FirstLayer, ModelError, linen
from flatreg.penalty.estimators.gram import gram_factor


def measure_curvature(
    model: nn.Module, lanes: Sequence[Lane], settings: MeasureSettings
) -> list[dict[str, float | int | bool]]:
    """tr(H), tr(H^2) and the largest eigenvalue of the mean task loss, dropout off.

    The traces are exact where the model has a closed form, else estimates from probes.

    Args:
        model: of `flatreg.models.build`.
        lanes: its parameters, examples and keys.
        settings: of the probes and of Lanczos.
    """
    places = [reduced(model, lane.params, lane.x, lane.y) for lane in lanes]
    keys = [jax.random.split(lane.key) for lane in lanes]
    estimates = exact_traces(model, lanes) or _estimated(
        model, places, [probes for probes, _ in keys], settings
    )
    largest = _largest(model, places, [starts for _, starts in keys], settings)
    return [
        {
            "examples": len(lane.y),
            "tr_h": traced.tr_h.value,
            "tr_h_stderr": traced.tr_h.stderr,
            "tr_h2": traced.tr_h2.value,
            "tr_h2_stderr": traced.tr_h2.stderr,
            "lambda_max": eigenvalue.value,
            "lambda_max_stderr": eigenvalue.stderr,
            "probes": traced.probes,
            "reached": traced.reached,
        }
        for lane, traced, eigenvalue in zip(lanes, estimates, largest, strict=True)
    ]


def _estimated(
    model: nn.Module,
    places: Sequence[tuple[Any, Point]],
    keys: Sequence[jax.Array],
    settings: MeasureSettings,
) -> list[Traces]:
    """Traces from probes: as many blocks of them as each lane needs, drawn for all lanes."""

    @cache
    def drawn(block: int) -> list[Any]:
        own = [
            (*place, jax.random.fold_in(key, block))
            for place, key in zip(places, keys, strict=True)
        ]
        return jax.device_get(each(_samples, (model, settings.block_probes), own))

    return [
        traces(
            (drawn(block)[number] for block in itertools.count()),
            target=settings.target_relative_error,
            max_probes=settings.max_probes,
        )
        for number in range(len(places))
    ]


def _largest(
    model: nn.Module,
    places: Sequence[tuple[Any, Point]],
    keys: Sequence[jax.Array],
    settings: MeasureSettings,
) -> list[Estimate]:
    """The largest eigenvalue of each lane, from several start vectors."""
    starts = [jax.random.split(key, settings.lanczos_repeats) for key in keys]
    repeats = [
        each(
            _tridiagonal,
            (model, settings.lanczos_steps),
            [(*place, own[repeat]) for place, own in zip(places, starts, strict=True)],
        )
        for repeat in range(settings.lanczos_repeats)
    ]
    return [largest_eigenvalue(list(own)) for own in zip(*jax.device_get(repeats), strict=True)]


def _samples(model: nn.Module, probes: int, origin: Any, at: Any, key: jax.Array) -> Any:
    return trace_samples(reduced_loss(model, at), origin, key, probes)


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
