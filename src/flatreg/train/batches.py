"""Mini-batches on the device, for the compiled steps of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
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


# `fill(order, capacity) -> arrays` of an epoch's batches, with order int [steps, B]; the first axis
# of each array is the step.
Fill = Callable[[np.ndarray, int], Any]


class Batches(NamedTuple):
    """The mini-batches of one split, as arguments of the compiled steps.

    Attributes:
        examples: arrays that stay on the device for all epochs, of `examples_of`.
        capacity: places for the entries of a sparse batch; 0 for dense inputs.
        fill: of `filler`.
    """

    examples: Any
    capacity: int
    fill: Fill

    def plan(self, order: np.ndarray) -> Any:
        """The arrays of an epoch's batches, with order int [steps, B]."""
        return self.fill(order, self.capacity)


def of_split(split: Split, orders: Iterable[np.ndarray], examples: Any) -> Batches:
    """The batches of a split, dense or sparse like the split.

    Args:
        split: of `flatreg.data.splits.prepare`.
        orders: of all epochs, each int [steps, B]; the largest batch sets the shapes.
        examples: of `examples_of` for this split.
    """
    if not sparse.issparse(split.x):
        return Batches(examples, 0, lambda order, _: order.astype(np.int32))
    largest = max(_largest(split.x, order) for order in orders)
    # Rounded up, so that seeds whose batches differ a little share one compiled program.
    capacity = -(-largest // CAPACITY_UNIT) * CAPACITY_UNIT
    return Batches(examples, capacity, partial(_coordinates, split))


def examples_of(split: Split) -> Any:
    """The arrays of a split that stay on the device; None for sparse inputs."""
    if sparse.issparse(split.x):
        return None
    shift, divisor = split.scaling
    # A product costs less than a quotient.
    return jax.device_put((split.x, split.y, shift, np.float32(1) / divisor))


def joined(several: Sequence[Batches]) -> list[Batches]:
    """The same batches in arrays of the same shapes, for lanes that are trained side by side.

    The rows of different splits are put into one array, in which each lane has its own rows.
    """
    capacity = max(one.capacity for one in several)
    splits = {id(one.examples): one.examples for one in several}
    if len(splits) == 1:
        return [one._replace(capacity=capacity) for one in several]
    x, y = (jnp.concatenate([arrays[place] for arrays in splits.values()]) for place in (0, 1))
    lengths = [len(arrays[1]) for arrays in splits.values()]
    starts = dict(zip(splits, np.cumsum([0, *lengths[:-1]]), strict=True))
    return [
        Batches((x, y, *one.examples[2:]), 0, partial(_from_row, starts[id(one.examples)]))
        for one in several
    ]


def _from_row(start: int, order: np.ndarray, _: int) -> np.ndarray:
    return (start + order).astype(np.int32)


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


def _coordinates(split: Split, order: np.ndarray, capacity: int) -> tuple[np.ndarray, ...]:
    """Rows as coordinates, padded with zeros to one length, so that no batch becomes dense."""
    steps, batch = order.shape
    values = np.zeros((steps, capacity), np.float32)
    # Padding is in the last row, so that rows stay sorted.
    places = np.zeros((steps, capacity, 2), np.int32)
    places[..., 0] = batch - 1
    picked = split.x[order.ravel()]
    lengths = np.diff(picked.indptr)
    ends = picked.indptr[::batch]
    step = np.repeat(np.arange(steps), np.diff(ends))
    position = np.arange(picked.nnz) - ends[step]
    values[step, position] = picked.data
    places[step, position, 0] = np.repeat(np.arange(steps * batch) % batch, lengths)
    places[step, position, 1] = picked.indices
    return values, places, split.y[order]


def _largest(x: sparse.csr_array, order: np.ndarray) -> int:
    """Number of entries in the largest batch of an epoch."""
    return int(np.diff(x.indptr)[order].sum(axis=1).max())
