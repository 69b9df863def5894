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

Params = Any
BLOCK = 1000


def make_evaluation(
    logits: Callable[[Params, Any], jax.Array], split: Split
) -> Callable[[Params], tuple[float, float]]:
    """A function from parameters to mean loss (nats) and accuracy over a split; NaN if it is empty.

    Args:
        logits: a function of parameters and inputs, dropout off.
        split: its examples stay on the device.
    """
    examples = len(split.y)
    if examples == 0:
        return lambda _: (float("nan"), float("nan"))
    order = _blocks(examples)
    fed = batches.of_split(split, [order])
    plan = jax.device_put((fed.plan(order), np.arange(order.size).reshape(order.shape) < examples))

    @jax.jit
    def sums(params: Params, examples: Any, plan: Any) -> Any:
        def of_block(part: Any) -> Any:
            rows, real = part
            x, y = fed.load(examples, rows)
            scores = logits(params, x)
            losses = jnp.where(real, models.task_losses(scores, y), 0)
            return jnp.sum(losses), jnp.sum(models.correct(scores, y) & real)

        return jax.lax.map(of_block, plan)

    def evaluate(params: Params) -> tuple[float, float]:
        losses, hits = jax.device_get(sums(params, fed.examples, plan))
        return float(np.sum(losses, dtype=np.float64)) / examples, int(hits.sum()) / examples

    return evaluate


def _blocks(examples: int) -> np.ndarray:
    """Row numbers [blocks, rows]; the last block is filled up with the last row."""
    blocks = -(-examples // BLOCK)
    rows = np.arange(blocks * -(-examples // blocks))
    return np.minimum(rows, examples - 1).reshape(blocks, -1)
