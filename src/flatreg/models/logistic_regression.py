"""Logistic regression of two classes, softmax regression of more."""

from __future__ import annotations

import flax.linen as nn
import jax

# What the config may say of it beside its name and outputs: nothing.
FIELDS: dict[str, dict[str, object]] = {}


class LogisticRegression(nn.Module):
    """One dense layer of logits.

    Attributes:
        outputs: number of logits.
    """

    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits [b, outputs] of inputs [b, d]; training and testing are alike."""
        return nn.Dense(self.outputs)(x)
