"""Mini-batches on the device, for the compiled steps of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO
from scipy import sparse

from flatreg.data.splits import Split

CAPACITY_UNIT = 2048
# `load(examples, part) -> (x, y)`: inputs [B, d], dense or sparse, and labels [B] of one step.
Load = Callable[[Any, Any], tuple[Any, jax.Array]]


class Batches(NamedTuple):
    """The mini-batches of one split, as arguments of the compiled steps.

    Attributes:
        examples: arrays that stay on the device for all epochs.
        plan: `plan(order) -> arrays` of an epoch's batches, with order int [steps, B]; the first
            axis of each array is the step.
    """

    examples: Any
    plan: Callable[[np.ndarray], Any]


def of_split(split: Split, orders: Iterable[np.ndarray]) -> Batches:
    """The batches of a split, dense or sparse like the split.

    Args:
        split: of `flatreg.data.splits.prepare`.
        orders: of all epochs, each int [steps, B]; the largest batch sets the shapes.
    """
    if sparse.issparse(split.x):
        largest = max(_largest(split.x, order) for order in orders)
        # Rounded up, so that seeds whose batches differ a little share one compiled program.
        return _sparse(split, -(-largest // CAPACITY_UNIT) * CAPACITY_UNIT)
    shift, divisor = split.scaling
    # A product costs less than a quotient.
    arrays = (split.x, split.y, shift, np.float32(1) / divisor)
    return Batches(jax.device_put(arrays), lambda order: order.astype(np.int32))


def loader(split: Split) -> Load:
    """The function by which compiled steps load a batch; all splits of a data set share it."""
    if not sparse.issparse(split.x):
        return _load_rows
    features = split.x.shape[1]

    def load(_: None, part: Any) -> tuple[BCOO, jax.Array]:
        values, places, y = part
        return BCOO((values, places), shape=(len(y), features), indices_sorted=True), y

    return load


def _load_rows(examples: Any, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gather and scale some rows; pictures stay bytes until then."""
    x, y, shift, factor = examples
    return (x[rows].astype(jnp.float32) - shift) * factor, y[rows]


def _sparse(split: Split, capacity: int) -> Batches:
    """Rows as coordinates, padded with zeros to one length, so that no batch becomes dense."""
    x = split.x

    def plan(order: np.ndarray) -> tuple[np.ndarray, ...]:
        steps, batch = order.shape
        values = np.zeros((steps, capacity), np.float32)
        # Padding is in the last row, so that rows stay sorted.
        places = np.zeros((steps, capacity, 2), np.int32)
        places[..., 0] = batch - 1
        picked = x[order.ravel()]
        lengths = np.diff(picked.indptr)
        ends = picked.indptr[::batch]
        step = np.repeat(np.arange(steps), np.diff(ends))
        position = np.arange(picked.nnz) - ends[step]
        values[step, position] = picked.data
        places[step, position, 0] = np.repeat(np.arange(steps * batch) % batch, lengths)
        places[step, position, 1] = picked.indices
        return values, places, split.y[order]

    return Batches(None, plan)


def _largest(x: sparse.csr_array, order: np.ndarray) -> int:
    """Number of entries in the largest batch of an epoch."""
    return int(np.diff(x.indptr)[order].sum(axis=1).max())
