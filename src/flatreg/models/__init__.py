"""The study's models, in Flax, one module for each, and the loss they are trained with.

A new model is a new module in this folder, with one `flax.linen.Module` and, as `FIELDS`, what the
config may say of it. Two classes are one logit under a sigmoid, more are as many logits under a
softmax.
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

# Every model by its name in the config: the modules of this folder.
NAMES = tuple(code.members("models"))


def build(model: Mapping[str, Any], classes: int) -> nn.Module:
    """The Flax module that a config's `model` section describes.

    Args:
        model: `name` and the attributes of that model; `outputs` where it is not as many logits
            as the classes need.
        classes: number of classes of the data set, at least 2.

    Raises:
        UserError: no such model, or an attribute it does not have.
    """
    if model["name"] not in NAMES:
        raise UserError(f"model {model['name']!r} is unknown; choose one of {', '.join(NAMES)}")
    # Flax compares modules by their attributes, so that these must be hashable.
    attributes = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in model.items()
        if key != "name"
    }
    try:
        return _module_class(model["name"])(**{"outputs": logits_of(classes)} | attributes)
    except TypeError as error:
        raise UserError(f"model {model['name']}: {error}; mend it in the config") from error


def _module_class(name: str) -> type[nn.Module]:
    """The one Flax module that a model's file defines."""
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
    """Number of logits for so many classes."""
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
    """Mean task loss of a batch at parameters, dropout off: the loss that H is of."""
    return task_loss(model.apply({"params": params}, x, train=False), y)


def loss_and_hits(logits: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`task_loss`, and how many examples of the batch are right."""
    return task_loss(logits, y), jnp.sum(correct(logits, y))


def predict(logits: jax.Array) -> jax.Array:
    """The class of each example's largest logit: int [b]."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return jnp.argmax(logits, axis=-1)


def correct(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Whether each example's largest logit is its label's: bool [b]."""
    return predict(logits) == y
