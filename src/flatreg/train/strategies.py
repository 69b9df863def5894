"""How the lanes of a block are trained: one after another on a CPU, side by side on a GPU.

Side by side they draw the same random numbers and take the same steps as alone, and their numbers
agree up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
from scipy import sparse

from flatreg.config import seed_of
from flatreg.data.splits import Split, seed_of_splits
from flatreg.disk.statuses import RUNNING
from flatreg.train import batches, side_by_side
from flatreg.train.loop import State, Trainer, after_epoch, arguments, epoch_plan, fit
from flatreg.train.steps import Carry, Fixed


class Strategy(NamedTuple):
    """A way to train lanes.

    Attributes:
        at_a_time: `at_a_time(trainer, state, lanes) -> n`: of so many lanes that are left, n are
            trained together; trainer and state are those of the first.
        train: `train(trainers, states)`: train lanes of one program from their states to the end;
            yields the new states of some of them, by their place, after each epoch.
    """

    at_a_time: Callable[[Trainer, State, int], int]
    train: Callable[[Sequence[Trainer], Sequence[State]], Iterator[dict[int, State]]]


def of_device() -> Strategy:
    """The strategy for the device of this process."""
    if jax.default_backend() == "cpu":
        return Strategy(lambda *_: 1, one_after_another)
    return Strategy(fitting, together)


def one_after_another(
    trainers: Sequence[Trainer], states: Sequence[State]
) -> Iterator[dict[int, State]]:
    """Train each lane to its end before the next begins."""
    for place, (trainer, start) in enumerate(zip(trainers, states, strict=True)):
        for state in fit(trainer, start):
            yield {place: state}


def together(trainers: Sequence[Trainer], states: Sequence[State]) -> Iterator[dict[int, State]]:
    """Train the lanes that stand at the earliest epoch side by side, until all have ended."""
    alike = batches.joined([trainer.batches for trainer in trainers])
    lanes = [trainer._replace(batches=own) for trainer, own in zip(trainers, alike, strict=True)]
    now = dict(enumerate(states))
    while running := {place: now[place] for place in now if now[place].status == RUNNING}:
        epoch = min(state.epoch for state in running.values())
        behind = {place: state for place, state in running.items() if state.epoch == epoch}
        width = side_by_side.width(len(behind), len(lanes))
        ended = _epoch([lanes[place] for place in behind], list(behind.values()), width)
        new = dict(zip(behind, ended, strict=True))
        now |= new
        yield new


def fitting(trainer: Trainer, state: State, lanes: int) -> int:
    """The number of lanes that fit the memory of the device together."""
    memory = jax.devices()[0].memory_stats()
    if lanes == 1 or memory is None:
        return lanes
    free = memory["bytes_limit"] - memory["bytes_in_use"]
    count = side_by_side.portion(lanes, lane_bytes(trainer, state), free)
    if count < lanes:
        print(f"{count} lanes at a time, which fit in {free / 1e9:.1f} GB", flush=True)
    return count


def lane_bytes(trainer: Trainer, state: State) -> int:
    """Bytes on the device for each lane that is trained side by side with others.

    They are counted in a program for two lanes that share nothing but their examples: a program
    for one keeps less for each lane.
    """
    two = [arguments(trainer, state, epoch_plan(trainer, state.epoch)) for _ in range(2)]
    needs = trainer.program.epochs.memory(*side_by_side.packed(two, 2))
    both = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    examples = _bytes(trainer.batches.examples)
    total = (both - examples) // 2 + _bytes(state.kept.params)
    if seed_of_splits(trainer.settings) is None:
        return total
    # Its own splits, and its training examples once more beside those of the others.
    return total + examples + sum(_split_bytes(split) for split in trainer.splits[:3])


def _epoch(trainers: Sequence[Trainer], states: Sequence[State], width: int) -> list[State]:
    """The states of lanes after one more epoch, trained with a program for `width` lanes."""
    program, clock = trainers[0].program.epochs, time.perf_counter()
    inputs = side_by_side.packed(arguments_of(trainers, states), width)
    prepared = time.perf_counter()
    program.compile(*inputs)
    compiled = time.perf_counter()
    carries = jax.block_until_ready(program(*inputs))
    trained = time.perf_counter()
    # Of the time that the lanes take together, each has its share.
    share = 1 / len(trainers)
    seconds = {
        "compile": (compiled - prepared) * share,
        "train": (trained - compiled + prepared - clock) * share,
    }
    return [
        after_epoch(trainer, state, carry, seconds)
        for trainer, state, carry in zip(trainers, states, carries[: len(trainers)], strict=True)
    ]


def arguments_of(trainers: Sequence[Trainer], states: Sequence[State]) -> list[tuple[Fixed, Carry]]:
    """The arguments of the steps of each lane; lanes with the same batches share their plan."""
    plans: dict[Any, Any] = {}
    each = []
    for trainer, state in zip(trainers, states, strict=True):
        same = seed_of(trainer.settings, "order"), seed_of_splits(trainer.settings)
        if same not in plans:
            plans[same] = jax.device_put(epoch_plan(trainer, state.epoch))
        each.append(arguments(trainer, state, plans[same]))
    return each


def _split_bytes(split: Split) -> int:
    """Bytes of the examples of a split on the device; a sparse entry has a row and a column."""
    x = 3 * split.x.data.nbytes if sparse.issparse(split.x) else split.x.nbytes
    return x + split.y.nbytes


def _bytes(arrays: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(arrays))
