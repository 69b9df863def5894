"""Loss, accuracy and calibration on a whole split, computed in blocks on the device.

References:
    The calibration error: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On calibration of modern
    neural networks. ICML 2017, section 2.
"""

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
# Bins of equal width for the probability of the predicted class.
BINS = 15


class Sums(NamedTuple):
    """Sums over the examples of each block.

    Attributes:
        losses: in nats [blocks].
        hits: correctly classified examples [blocks].
        excesses: hits minus probabilities of the predicted classes, by bin [blocks, BINS].
    """

    losses: jax.Array
    hits: jax.Array
    excesses: jax.Array


class Evaluation(NamedTuple):
    """What parameters do on a split; NaN if it is empty.

    Attributes:
        loss: mean, in nats.
        accuracy: share of examples right.
        calibration_error: expected calibration error: the mean over examples of
            |accuracy - mean probability of the predicted class| in the example's bin.
    """

    loss: float
    accuracy: float
    calibration_error: float


EMPTY = Evaluation(*[float("nan")] * 3)
# `sums(params, examples, plan)` of all blocks of a split.
BlockSums = Callable[[Params, Any, Any], Sums]


def block_sums(logits: Callable[[Params, Any], jax.Array], load: Load) -> BlockSums:
    """The compiled function of `of_held`.

    Args:
        logits: a function of parameters and inputs, dropout off.
        load: of `flatreg.train.batches.loader`.
    """

    @jax.jit
    def sums(params: Params, examples: Any, plan: Any) -> Sums:
        def of_block(part: Any) -> Sums:
            rows, real = part
            x, y = load(examples, rows)
            scores = logits(params, x)
            losses = jnp.where(real, models.task_losses(scores, y), 0)
            hits = models.correct(scores, y)
            confidence = models.confidence(scores)
            excess = jnp.where(real & _in_bins(confidence), hits - confidence, 0)
            return Sums(jnp.sum(losses), jnp.sum(hits & real), jnp.sum(excess, axis=1))

        return jax.lax.map(of_block, plan)

    return sums


def _in_bins(confidence: jax.Array) -> jax.Array:
    """In which bin, (m - 1, m] / BINS, each probability is: bool [BINS, b]."""
    own = jnp.clip(jnp.ceil(confidence * BINS), 1, BINS) - 1
    return jnp.arange(BINS)[:, None] == own


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


def of_held(held: Held | None, sums: BlockSums) -> Callable[[Params], Evaluation]:
    """A function from parameters to their evaluation on a split.

    Args:
        held: the split; None if it is empty.
        sums: of `block_sums`.
    """
    if held is None:
        return lambda _: EMPTY
    return lambda params: mean(sums(params, held.examples, held.plan), held.count)


def mean(sums: Sums, count: int) -> Evaluation:
    """The evaluation on a split of `count` examples, from the sums of its blocks."""
    losses, hits, excesses = jax.device_get(sums)
    return Evaluation(
        float(np.sum(losses, dtype=np.float64)) / count,
        int(hits.sum()) / count,
        float(np.abs(excesses.sum(axis=0, dtype=np.float64)).sum()) / count,
    )


def _blocks(examples: int) -> np.ndarray:
    """Row numbers [blocks, rows]; the last block is filled up with the last row."""
    blocks = -(-examples // BLOCK)
    rows = np.arange(blocks * -(-examples // blocks))
    return np.minimum(rows, examples - 1).reshape(blocks, -1)
