"""The networks and batches to time, in NumPy, so that JAX and PyTorch start from the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    """A network and its batch.

    Attributes:
        inputs: width of the input.
        hidden: widths of the hidden layers.
        outputs: number of logits.
        batch: examples in a mini-batch (B).
        probes: probe vectors (M).
    """

    inputs: int = 3072
    hidden: tuple[int, ...] = (512, 256)
    outputs: int = 100
    batch: int = 128
    probes: int = 5

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of all layers, from input to logits."""
        return (self.inputs, *self.hidden, self.outputs)


def parameters(shape: Shape) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel [d, h] and bias [h] of each layer (He normal, biases small)."""
    rng = np.random.default_rng(0)
    return [
        (
            (rng.normal(size=(d, h)) * np.sqrt(2 / d)).astype(np.float32),
            (0.01 * rng.normal(size=h)).astype(np.float32),
        )
        for d, h in zip(shape.widths[:-1], shape.widths[1:], strict=True)
    ]


def batch(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [B, d] and labels [B]."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(shape.batch, shape.inputs)).astype(np.float32)
    return x, rng.integers(0, max(2, shape.outputs), shape.batch).astype(np.int32)


def texts(shape: Shape, words: int) -> np.ndarray:
    """Inputs [B, d]; each row has `words` entries above zero and unit length."""
    rng = np.random.default_rng(2)
    x = np.zeros((shape.batch, shape.inputs), np.float32)
    for row in x:
        row[rng.choice(shape.inputs, words, replace=False)] = rng.random(words) + 0.1
    return x / np.linalg.norm(x, axis=1, keepdims=True)
