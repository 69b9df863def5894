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
from flatreg.train import batches, evaluation, side_by_side
from flatreg.train.evaluation import Held
from flatreg.train.loop import (
    Measured,
    State,
    Trainer,
    after_epoch,
    arguments,
    epoch_plan,
    fit,
)
from flatreg.train.side_by_side import Lanes
from flatreg.train.steps import Carry, Fixed, Params


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
    # A tenth is for what is measured after an epoch.
    free = (memory["bytes_limit"] - memory["bytes_in_use"]) * 9 // 10
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
    carries = carries[: len(trainers)]
    epoch = states[0].epoch + 1
    measured = measure(trainers, [carry.params for carry in carries], epoch, width)
    ended = time.perf_counter()
    # Of the time that the lanes take together, each has its share.
    share = 1 / len(trainers)
    seconds = {
        "compile": (compiled - prepared) * share,
        "train": (trained - compiled + prepared - clock) * share,
        "measure": (ended - trained) * share,
    }
    return [
        after_epoch(trainer, state, carry, lambda own=own: own, seconds)
        for trainer, state, carry, own in zip(trainers, states, carries, measured, strict=True)
    ]


def measure(
    trainers: Sequence[Trainer], params: Sequence[Params], epoch: int, most: int
) -> list[Measured]:
    """What is measured after an epoch (from 1) of lanes; those with the same data together.

    Args:
        trainers: of the lanes, of one program.
        params: of each after the epoch.
        epoch: the same for all.
        most: the number of lanes for which the program of the epoch was compiled.
    """
    same: dict[int, list[int]] = {}
    for number, trainer in enumerate(trainers):
        same.setdefault(id(trainer.placed), []).append(number)
    measured: dict[int, Measured] = {}
    for numbers in same.values():
        lanes = [(params[number], trainers[number].probes(epoch)) for number in numbers]
        measured |= zip(numbers, _measure_alike(trainers[numbers[0]], lanes, most), strict=True)
    return [measured[number] for number in range(len(trainers))]


def _measure_alike(trainer: Trainer, lanes: Lanes, most: int) -> list[Measured]:
    """What is measured of lanes with the program and the data of a trainer."""
    placed, width = trainer.placed, side_by_side.width(len(lanes), most)
    held = {name: placed.held[name] for name in ("validation", "test")}
    blocks = {name: (split.examples, split.plan) for name, split in held.items() if split}
    filled = side_by_side.filled(lanes, width)
    results = jax.device_get(trainer.program.measures(filled, blocks, placed.measured))
    return [_measured(held, *result) for result in results[: len(lanes)]]


def _measured(held: dict[str, Held | None], sums: dict[str, Any], tr_h2: Any) -> Measured:
    means = {
        name: evaluation.mean(sums[name], split.count) if split else evaluation.EMPTY
        for name, split in held.items()
    }
    return Measured(**means, tr_h2=(float(tr_h2[0]), float(tr_h2[1])))


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
