"""What a run minimizes: the task loss of its model, and the estimator of tr(H^2) for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from flatreg import models, penalty
from flatreg.errors import UserError
from flatreg.penalty import linen
from flatreg.penalty.first_layer import dense


class Objective(NamedTuple):
    """The parts of a training step that depend on the model.

    Attributes:
        estimator: of tr(H^2) of the mean task loss, dropout off.
        task: `task(zeta, x, y, rngs=...) -> (loss, hits)` in the estimator's coordinates, dropout
            on; hits is the number of correctly classified examples.
        logits: `logits(params, x) -> [B, outputs]`, dropout off; x dense or sparse.
        reason: why this estimator was chosen, in a few words.
    """

    estimator: penalty.Estimator
    task: Callable[..., tuple[jax.Array, jax.Array]]
    logits: Callable[[Any, Any], jax.Array]
    reason: str


def build(
    model: nn.Module, x: jax.Array, *, estimator: str, probes: int, distribution: str
) -> Objective:
    """The objective of a model.

    Args:
        model: of `flatreg.models.build`.
        x: a batch of inputs [B, d]; only its shape and type are used.
        estimator: a module of `flatreg.penalty.estimators`, or `auto`: see `cheapest`.
        probes: number of probe vectors of an estimate, for estimators that draw any.
        distribution: of a probe's entries, "rademacher" or "normal".

    Raises:
        UserError: the model does not allow the estimator.
    """
    name, reason = estimator, "named in the config"
    if name == "auto":
        name, reason = cheapest(model, x)
    make = getattr(import_module(f"flatreg.penalty.estimators.{name}"), name)
    parameters = signature(make).parameters
    drawn = {"probes": probes, "distribution": distribution}
    options = {key: value for key, value in drawn.items() if key in parameters}
    if "network" in parameters:
        return _of_chain(make, options, model, x, name, reason)
    if "layer" not in parameters:
        logits = partial(_apply, model, lambda logits: logits, train=False)
        task = partial(_apply, model, models.loss_and_hits, train=True)
        if "logits" in parameters:
            return Objective(make(logits, models.task_loss, **options), task, logits, reason)
        loss = partial(_apply, model, models.task_loss, train=False)
        return Objective(make(loss, **options), task, logits, reason)
    layer = _split(model, x, name)
    of_layer = make(_ending_in(models.task_loss, layer), **options)
    task = partial(_ending_in(models.loss_and_hits, layer).loss, train=True)
    return Objective(of_layer, task, lambda p, x: layer.loss(layer.enter(p, x), x), reason)


def _of_chain(
    make: Callable[..., penalty.Estimator],
    options: dict[str, Any],
    model: nn.Module,
    x: jax.Array,
    name: str,
    reason: str,
) -> Objective:
    """The objective of a model all of whose layers the estimator needs.

    Raises:
        UserError: the model is not a chain of dense layers.
    """
    with _fitting(name):
        network = linen.dense_layers(model, x, models.task_loss, train=False)
        estimator = make(network, **options)
    task = partial(network._replace(loss=models.loss_and_hits).loss_at, train=True)
    return Objective(estimator, task, lambda p, x: network.logits(network.enter(p, x), x), reason)


def _split(model: nn.Module, x: jax.Array, name: str) -> penalty.FirstLayer:
    """The model split after its first layer, with logits in place of the loss.

    Raises:
        UserError: the model does not allow the estimator.
    """
    with _fitting(name):
        layer = linen.first_layer(model, x, lambda logits: logits, train=False)
        if name == "exact" and not _is_only_layer(layer, model, x):
            raise penalty.ModelError("model", type(model).__name__, "logistic regression")
        return layer


@contextmanager
def _fitting(name: str) -> Iterator[None]:
    """Say of a model that does not fit that its estimator is named in the config."""
    try:
        yield
    except penalty.ModelError as error:
        raise UserError(
            f"penalty.estimator {name!r} does not fit: {error}; write `estimator: auto`"
        ) from error


def _is_only_layer(layer: penalty.FirstLayer, model: nn.Module, x: jax.Array) -> bool:
    """Whether a model has no parameters beside those of its first layer."""
    *_, rest = layer.split(_parameters(model, x))
    return not jax.tree.leaves(rest)


def _ending_in(of_logits: Callable[..., Any], layer: penalty.FirstLayer) -> penalty.FirstLayer:
    """The layer of `_split` with a function of logits and labels as its loss."""

    def loss(zeta: Any, x: Any, *labels: jax.Array, **arguments: Any) -> Any:
        return of_logits(layer.loss(zeta, x, **arguments), *labels)

    return layer._replace(loss=loss)


def cheapest(model: nn.Module, x: jax.Array) -> tuple[str, str]:
    """The estimator whose gradient spreads least for the time it takes, and the reason.

    As `bench/frontier.py` measured on the study's networks; all estimate tr(H_b^2).
    """
    try:
        layer = linen.first_layer(model, x, models.task_loss, train=False)
    except penalty.ModelError as error:
        return "autodiff", f"gram does not fit: {error}"
    if _is_only_layer(layer, model, x):
        return "exact", "cross-entropy of one dense layer: closed form, no probes"
    if _is_chain_to_one_logit(model, x):
        return "pairs", "dense layers to one logit: from pairs of examples, no probes"
    return "gram", "the first layer is dense, on the input: probes in at most B dimensions"


def _is_chain_to_one_logit(model: nn.Module, x: jax.Array) -> bool:
    """Whether a model is a chain of dense and piecewise linear layers that ends in one logit."""
    try:
        network = linen.dense_layers(model, x, models.task_loss, train=False)
        penalty.pairs(network)
    except penalty.ModelError:
        return False
    zeta = jax.eval_shape(network.enter, _parameters(model, x), x)
    return jax.eval_shape(network.logits, zeta, x).shape[-1] == 1


def _parameters(model: nn.Module, x: jax.Array) -> Any:
    """The shapes of a model's parameters."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))["params"]


def _apply(
    model: nn.Module,
    of_logits: Callable[..., Any],
    params: Any,
    x: Any,
    *labels: jax.Array,
    **arguments: Any,
) -> Any:
    return of_logits(model.apply({"params": params}, dense(x), **arguments), *labels)
