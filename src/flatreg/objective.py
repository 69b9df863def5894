"""What a run minimizes: its model's task loss, and the estimator of tr(H^2) that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax.experimental.sparse import BCOO

from flatreg import models, penalty
from flatreg.errors import UserError
from flatreg.penalty import linen

ESTIMATORS = ("auto", "autodiff", "gram", "exact")


class Objective(NamedTuple):
    """The parts of a training step that depend on the model.

    Attributes:
        estimator: of tr(H^2), dropout off; its loss is the mean task loss.
        task: `task(zeta, x, y, rngs=...) -> (loss, hits)` in the estimator's coordinates, dropout
            on; hits is how many examples of the batch are right.
        logits: `logits(params, x) -> [B, outputs]`, dropout off; x dense or sparse.
        reason: why this estimator, in a few words.
    """

    estimator: penalty.Estimator
    task: Callable[..., tuple[jax.Array, jax.Array]]
    logits: Callable[[Any, Any], jax.Array]
    reason: str


def build(model: nn.Module, x: jax.Array, chosen: dict[str, Any]) -> Objective:
    """The objective of a model.

    Args:
        model: of `flatreg.models.build`.
        x: a batch of inputs [B, d]; only shape and type count.
        chosen: the config's `penalty`.

    Raises:
        UserError: the model does not allow the estimator; names one that it does.
    """
    name, reason = chosen["estimator"], "named in the config"
    if name == "auto":
        name, reason = cheapest(model, x)
    settings = {key: chosen[key] for key in ("probes", "distribution")}
    if name == "autodiff":
        loss = partial(_apply, model, models.task_loss, train=False)
        task = partial(_apply, model, models.loss_and_hits, train=True)
        logits = partial(_apply, model, lambda logits: logits, train=False)
        return Objective(penalty.autodiff(loss, **settings), task, logits, reason)
    layers = _layers(model, x, name)
    loss = layers["loss"]
    estimator = penalty.exact(loss) if name == "exact" else penalty.gram(loss, **settings)

    def logits(params: Any, x: Any) -> jax.Array:
        return layers["logits"].loss(loss.enter(params, x), x)

    return Objective(estimator, partial(layers["task"].loss, train=True), logits, reason)


def _layers(model: nn.Module, x: jax.Array, name: str) -> dict[str, penalty.FirstLayer]:
    """The model split after its first layer, once for each thing to be made of its logits.

    Raises:
        UserError: it does not allow the estimator.
    """
    made_of_logits = {
        "loss": models.task_loss,
        "task": models.loss_and_hits,
        "logits": lambda logits: logits,
    }
    try:
        if name == "exact" and not isinstance(model, models.LogisticRegression):
            raise penalty.ModelError("model", type(model).__name__, "logistic regression")
        return {
            what: linen.first_layer(model, x, make, train=False)
            for what, make in made_of_logits.items()
        }
    except penalty.ModelError as error:
        raise UserError(
            f"penalty.estimator {name!r} does not fit: {error}; write `estimator: auto`"
        ) from error


def cheapest(model: nn.Module, x: jax.Array) -> tuple[str, str]:
    """The name of the cheapest estimator that a model allows, and why it is that one."""
    try:
        linen.first_layer(model, x, models.task_loss, train=False)
    except penalty.ModelError as error:
        return "autodiff", f"gram does not fit: {error}"
    if isinstance(model, models.LogisticRegression):
        return "exact", "cross-entropy of one dense layer: closed form, no probes"
    return "gram", "the first layer is dense, on the input: probes in at most B dimensions"


def _apply(
    model: nn.Module,
    of_logits: Callable[..., Any],
    params: Any,
    x: Any,
    *labels: jax.Array,
    **arguments: Any,
) -> Any:
    x = x.todense() if isinstance(x, BCOO) else x
    return of_logits(model.apply({"params": params}, x, **arguments), *labels)
