"""tr(H) and tr(H^2) without probes, for models with few logits.

tr(H^2) is that of `flatreg.penalty.pairs` and `flatreg.penalty.exact`. tr(H) needs no pairs: where
the activation is piecewise linear, the network's own curvature has no diagonal, so that, in the
letters of `flatreg.penalty.estimators.pairs`,

    tr(H) = 1/B sum_i tr(G_i) = 1/B sum_i sum_l K_l[i,i] sum_c |s_l,i|^2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flatreg import models
from flatreg.measure.curvature import Estimate, Traces
from flatreg.measure.lanes import Lane, each
from flatreg.penalty import DenseLayers, Estimator, ModelError, exact, linen, pairs
from flatreg.penalty.cross_entropy import curvature_root_along
from flatreg.penalty.pair_products import chain, directions

# Numbers that the paths of all examples take (1 GB); beyond it, probes cost less.
MOST_NUMBERS = 2**27


def exact_traces(model: nn.Module, lanes: Sequence[Lane]) -> list[Traces] | None:
    """Both traces of the mean task loss, dropout off, in float64: no probes, standard errors of 0.

    Args:
        model: of `flatreg.models.build`.
        lanes: with its parameters and the examples.

    Returns:
        None for other models than one dense layer, or a chain of them with one logit and a
        piecewise linear activation, and where probes cost less.
    """
    with jax.enable_x64(True):
        # In single precision a sure prediction leaves rounding of 1 - p and of p - y.
        wide = [(*_in_double((lane.params, lane.x)), lane.y) for lane in lanes]
        if _estimator(model, *wide[0][:2]) is None:
            return None
        found = jax.device_get(each(_traces, (model,), wide, at_a_time=1))
    return [
        Traces(Estimate(float(tr_h), 0.0), Estimate(float(tr_h2), 0.0), 0, True)
        for tr_h, tr_h2 in found
    ]


def _in_double(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree)


def _traces(model: nn.Module, params: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any]:
    network, estimator = _network(model, x), _estimator(model, params, x)
    key = jax.random.key(0)  # of no sketch: all columns and all units are taken
    return trace(network, params, x), estimator(params, x, y, key=key)


def trace(network: DenseLayers, params: Any, x: jax.Array) -> jax.Array:
    """tr(H) of a network with a piecewise linear activation, in units of loss / params^2.

    Args:
        network: the layers, under a mean cross-entropy.
        params: of the network.
        x: inputs [n, d].
    """
    layers = chain(network, network.enter(params, x), x)
    examples, width = layers.logits.shape
    e = directions(
        jax.random.key(0), None, examples=examples, width=width, dtype=layers.logits.dtype
    )
    columns = layers.back(curvature_root_along(layers.logits, e.swapaxes(0, 1)))
    of_layers = (
        jnp.sum(jnp.diag(gram) * jnp.sum(s**2, axis=(0, 2)))
        for gram, s in zip(layers.grams, columns, strict=True)
    )
    return sum(of_layers, start=jnp.zeros(())) / examples


def only_layer(model: nn.Module, params: Any, x: Any) -> bool:
    """Whether a model is one dense layer, with a bias, under a cross-entropy."""
    try:
        ((_, bias),) = _network(model, x).split(params)
    except (ModelError, ValueError):
        return False
    return bias is not None


def _network(model: nn.Module, x: Any) -> DenseLayers:
    return linen.dense_layers(model, x, models.task_loss, train=False)


def _estimator(model: nn.Module, params: Any, x: Any) -> Estimator | None:
    """The closed form of tr(H^2); None if the model has none at a bearable cost."""
    try:
        network = _network(model, x)
        widths = [kernel.shape[1] for kernel, _ in network.split(params)]
        if len(widths) == 1:
            return exact(linen.first_layer(model, x, models.task_loss, train=False))
        if widths[-1] > 1 or len(x) * _longest(widths) > MOST_NUMBERS:
            return None
        return pairs(network, probes=None, far=None)
    except ModelError:
        return None


def _longest(widths: list[int]) -> int:
    """The most entries of a path between layers that are no neighbours."""
    far = (
        widths[first] * widths[last - 1]
        for first, last in itertools.combinations(range(len(widths)), 2)
        if last > first + 1
    )
    return max(far, default=0)
