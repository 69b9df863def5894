"""Loss and accuracy of a whole split, computed in blocks on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flatreg import models
from flatreg.data.splits import Split
from flatreg.train import batches
from flatreg.train.batches import Load

Params = Any
BLOCK = 1000
# Loss and accuracy of a split without examples.
EMPTY = float("nan"), float("nan")
# `sums(params, examples, plan) -> (losses, hits)`, each [blocks].
BlockSums = Callable[[Params, Any, Any], tuple[jax.Array, jax.Array]]


def block_sums(logits: Callable[[Params, Any], jax.Array], load: Load) -> BlockSums:
    """The compiled function of `of_held`: summed losses (nats) and hits of each block of rows.

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


class Held(NamedTuple):
    """A split on the device.

    Attributes:
        examples: arrays of `flatreg.train.batches.examples_of`.
        plan: the rows of each block, and which of them are no filling.
        count: number of examples.
    """

    examples: Any
    plan: Any
    count: int


def hold(split: Split, examples: Any) -> Held | None:
    """Put the blocks of a split on the device; None if it is empty.

    Args:
        split: of `flatreg.data.splits.prepare`.
        examples: of `flatreg.train.batches.examples_of` for this split.
    """
    count = len(split.y)
    if count == 0:
        return None
    order = _blocks(count)
    fed = batches.of_split(split, [order], examples)
    plan = jax.device_put((fed.plan(order), np.arange(order.size).reshape(order.shape) < count))
    return Held(fed.examples, plan, count)


def of_held(held: Held | None, sums: BlockSums) -> Callable[[Params], tuple[float, float]]:
    """A function from parameters to mean loss (nats) and accuracy over a split; NaN if it is empty.

    Args:
        held: the split.
        sums: of `block_sums`.
    """
    if held is None:
        return lambda _: EMPTY
    return lambda params: mean(sums(params, held.examples, held.plan), held.count)


def mean(sums: tuple[jax.Array, jax.Array], count: int) -> tuple[float, float]:
    """Mean loss (nats) and accuracy, from the sums of all blocks of `count` examples."""
    losses, hits = jax.device_get(sums)
    return float(np.sum(losses, dtype=np.float64)) / count, int(hits.sum()) / count


def _blocks(examples: int) -> np.ndarray:
    """Row numbers [blocks, rows]; the last block is filled up with the last row."""
    blocks = -(-examples // BLOCK)
    rows = np.arange(blocks * -(-examples // blocks))
    return np.minimum(rows, examples - 1).reshape(blocks, -1)
