"""Logistic regression for two classes, softmax regression for more."""

from __future__ import annotations

import flax.linen as nn
import jax

# No fields in the config besides `name` and `outputs`.
FIELDS: dict[str, dict[str, object]] = {}
LAYERS = ("dense_first", "dense_only", "dense_chain")


class LogisticRegression(nn.Module):
    """One dense layer of logits.

    Attributes:
        outputs: number of logits.
    """

    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits [b, outputs] of inputs [b, d]; `train` has no effect."""
        return nn.Dense(self.outputs)(x)
