"""Loss and accuracy of a whole split, computed in blocks on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg import models
from flatreg.data.splits import Split
from flatreg.train import batches
from flatreg.train.batches import Load

Params = Any
BLOCK = 1000
# `sums(params, examples, plan) -> (losses, hits)`, each [blocks].
BlockSums = Callable[[Params, Any, Any], tuple[jax.Array, jax.Array]]


def block_sums(logits: Callable[[Params, Any], jax.Array], load: Load) -> BlockSums:
    """The compiled function of `of_split`: summed losses (nats) and hits of each block of rows.

    Args:
        logits: a function of parameters and inputs, dropout off.
        load: of `flatreg.train.batches.loader`.
    """

    @jax.jit
    def sums(params: Params, examples: Any, plan: Any) -> tuple[jax.Array, jax.Array]:
        def of_block(part: Any) -> tuple[jax.Array, jax.Array]:
            rows, real = part
            x, y = load(examples, rows)
            scores = logits(params, x)
            losses = jnp.where(real, models.task_losses(scores, y), 0)
            return jnp.sum(losses), jnp.sum(models.correct(scores, y) & real)

        return jax.lax.map(of_block, plan)

    return sums


def of_split(split: Split, sums: BlockSums) -> Callable[[Params], tuple[float, float]]:
    """A function from parameters to mean loss (nats) and accuracy over a split; NaN if it is empty.

    Args:
        split: its examples stay on the device.
        sums: of `block_sums`.
    """
    examples = len(split.y)
    if examples == 0:
        return lambda _: (float("nan"), float("nan"))
    order = _blocks(examples)
    fed = batches.of_split(split, [order], batches.examples_of(split))
    plan = jax.device_put((fed.plan(order), np.arange(order.size).reshape(order.shape) < examples))

    def evaluate(params: Params) -> tuple[float, float]:
        losses, hits = jax.device_get(sums(params, fed.examples, plan))
        return float(np.sum(losses, dtype=np.float64)) / examples, int(hits.sum()) / examples

    return evaluate


def _blocks(examples: int) -> np.ndarray:
    """Row numbers [blocks, rows]; the last block is filled up with the last row."""
    blocks = -(-examples // BLOCK)
    rows = np.arange(blocks * -(-examples // blocks))
    return np.minimum(rows, examples - 1).reshape(blocks, -1)
