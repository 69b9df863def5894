"""A multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax

# JSON schema of its fields in the config besides `name` and `outputs`; all are required.
FIELDS = {
    "hidden": {
        "description": "Width of each hidden layer (mlp).",
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 100000},
        "minItems": 1,
        "maxItems": 100,
    },
    "dropout": {
        "description": "Dropout rate after each hidden layer (mlp).",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
    },
}
LAYERS = ("dense_first", "dense_chain")


class MLP(nn.Module):
    """Dense layers with ReLU and dropout, then a dense layer of logits.

    Attributes:
        hidden: width of each hidden layer.
        dropout: rate after each hidden layer, in [0, 1).
        outputs: number of logits.
    """

    hidden: Sequence[int]
    dropout: float
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits [b, outputs] of inputs [b, d]; `train` turns dropout on."""
        for width in self.hidden:
            x = nn.relu(nn.Dense(width)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.outputs)(x)
