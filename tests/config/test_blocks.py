"""How runs are divided into blocks."""

from __future__ import annotations

import pytest

from flatreg.config import Run
from flatreg.config.blocks import default_lanes, divide

RUNS = [
    Run(protocol, dataset, lam, seed)
    for protocol in ("stated", "tuned")
    for dataset in ("digits", "wine")
    for lam in ("0", "0.1")
    for seed in range(7)
]


@pytest.mark.parametrize("lanes", [2, 3, 4, 100])
def test_each_run_is_in_one_block_or_left_alone(lanes: int) -> None:
    blocks = divide(RUNS, lambda run: run.lam, lanes)
    taken = [run for block in blocks for run in block.runs]
    assert len(taken) == len(set(taken))
    assert all(2 <= len(block.runs) <= lanes for block in blocks)
    assert len({block.name for block in blocks}) == len(blocks)
    # Of seven runs, pairs leave one over; threes and fours do not: 2, 2, 3 and 3, 4.
    assert len(RUNS) - len(taken) == (8 if lanes == 2 else 0)


def test_a_block_has_runs_of_one_kind_in_the_order_of_the_config() -> None:
    for block in divide(RUNS, lambda run: run.lam, 4):
        assert len({run[:3] for run in block.runs}) == 1
        assert list(block.runs) == sorted(block.runs)


def test_one_lane_is_a_job_per_run() -> None:
    assert divide(RUNS, lambda _: None, 1) == []


@pytest.mark.parametrize(
    ("runs", "cores", "lanes"),
    [(37, 2, 8), (538, 2, 16), (538, 64, 8), (100, 2, 13), (0, 2, 8)],
)
def test_the_default_keeps_all_cores_busy(runs: int, cores: int, lanes: int) -> None:
    """Four blocks for each core, unless that makes them very small or very large."""
    assert default_lanes(runs, cores) == lanes


@pytest.mark.parametrize(("runs", "gpus", "lanes"), [(538, 1, 269), (538, 4, 68), (3, 8, 8)])
def test_the_default_gives_each_gpu_two_blocks(runs: int, gpus: int, lanes: int) -> None:
    assert default_lanes(runs, 16, gpus) == lanes
