"""The study's models, in Flax, one module per model, and their loss.

A new model is a new module in this folder, with one `flax.linen.Module` and with `FIELDS`, the JSON
schema of its fields in the config. `LAYERS` says what it has of what estimators may need: a dense
first layer on the input ("dense_first"), no layer but that ("dense_only"), dense layers and
piecewise linear activations alone ("dense_chain"); without it, that is found out at a training. Two
classes share one logit with a sigmoid; more classes have one logit each, with a softmax.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from flatreg import code
from flatreg.errors import UserError

# The names of all models in the config: the modules of this folder.
NAMES = tuple(code.members("models"))


def build(model: Mapping[str, Any], classes: int) -> nn.Module:
    """The Flax module that a config's `model` section describes.

    Args:
        model: `name` and the attributes of that model; `outputs` only to override the number of
            logits.
        classes: number of classes of the data set, at least 2.

    Raises:
        UserError: the model, or one of its attributes, is unknown.
    """
    if model["name"] not in NAMES:
        raise UserError(f"model {model['name']!r} is unknown; choose one of {', '.join(NAMES)}")
    # Flax compares modules by their attributes, which must be hashable.
    attributes = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in model.items()
        if key != "name"
    }
    try:
        return _module_class(model["name"])(**{"outputs": logits_of(classes)} | attributes)
    except TypeError as error:
        raise UserError(f"model {model['name']}: {error}; correct it in the config") from error


def _module_class(name: str) -> type[nn.Module]:
    """The Flax module that a model's file defines."""
    file = import_module(f"flatreg.models.{name}")
    (module,) = (
        value
        for value in vars(file).values()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == file.__name__
    )
    return module


def logits_of(classes: int) -> int:
    """Number of logits for a number of classes."""
    return 1 if classes == 2 else classes


def task_losses(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Cross-entropy of each example, in nats.

    Args:
        logits: [b, 1] for two classes, else [b, classes].
        y: int labels [b].

    Returns:
        [b]
    """
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], y.astype(logits.dtype))
    return optax.softmax_cross_entropy_with_integer_labels(logits, y)


def task_loss(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross-entropy over the batch, in nats."""
    return jnp.mean(task_losses(logits, y))


def loss_without_dropout(model: nn.Module, params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean task loss of a batch, dropout off: H is the Hessian of this loss."""
    return task_loss(model.apply({"params": params}, x, train=False), y)


def loss_and_hits(logits: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`task_loss`, and the number of correctly classified examples."""
    return task_loss(logits, y), jnp.sum(correct(logits, y))


def predict(logits: jax.Array) -> jax.Array:
    """The predicted class of each example: int [b]."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return jnp.argmax(logits, axis=-1)


def confidence(logits: jax.Array) -> jax.Array:
    """The model's probability of the predicted class of each example: float [b]."""
    if logits.shape[-1] == 1:
        return jax.nn.sigmoid(jnp.abs(logits[:, 0]))
    return jnp.max(jax.nn.softmax(logits), axis=-1)


def correct(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Whether each example is classified correctly: bool [b]."""
    return predict(logits) == y
