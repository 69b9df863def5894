"""Which runs a job takes together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from flatreg.config.study import Run

# With fewer runs, a job's start costs more than they do; with more, it is hardly noticed.
FEWEST_LANES, MOST_LANES = 8, 16
# So many blocks for each core keep all cores busy to the end.
BLOCKS_PER_CORE = 4
# A GPU trains many runs in hardly more time than a few.
BLOCKS_PER_GPU = 2


class Block(NamedTuple):
    """Two or more runs of one protocol and data set that a job takes together.

    Attributes:
        name: of the block, unique among the blocks of its kind of job.
        runs: in the order of the config.
    """

    name: str
    runs: tuple[Run, ...]


def default_lanes(runs: int, cores: int, gpus: int = 0) -> int:
    """The largest number of runs in a block, if the config does not set it.

    Args:
        runs: that are to be trained.
        cores: on which jobs run side by side.
        gpus: on which they do so instead; 0 if they run on cores.
    """
    if gpus:
        return max(FEWEST_LANES, -(-runs // (BLOCKS_PER_GPU * gpus)))
    return min(MOST_LANES, max(FEWEST_LANES, -(-runs // (BLOCKS_PER_CORE * cores))))


def divide(runs: Iterable[Run], kind: Callable[[Run], Hashable], lanes: int) -> list[Block]:
    """Divide runs into blocks of about equal size; a run that is left over is in none.

    Snakemake repeats a job for all of its runs. So runs that may be repeated without the others,
    such as those whose files are missing, must be of a kind of their own.

    Args:
        runs: of the study.
        kind: tells runs apart that may not be in one block; protocols and data sets always are.
        lanes: largest number of runs in a block.
    """
    kinds: dict[Hashable, list[Run]] = {}
    for run in runs:
        kinds.setdefault((run.protocol, run.dataset, kind(run)), []).append(run)
    parts = [part for some in kinds.values() for part in _parts(some, lanes) if len(part) > 1]
    return [
        Block(f"{part[0].protocol}_{part[0].dataset}_{number}", part)
        for number, part in enumerate(parts, start=1)
    ]


def _parts(runs: list[Run], most: int) -> Iterable[tuple[Run, ...]]:
    """Consecutive parts of at most `most` runs, as equal in size as can be."""
    count = -(-len(runs) // most)
    ends = [len(runs) * number // count for number in range(count + 1)]
    return (tuple(runs[begin:end]) for begin, end in itertools.pairwise(ends))
