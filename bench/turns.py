"""Timing in turns, so that other load on the machine affects all ways equally."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Runs a number of steps and returns the seconds of all of them together.
Run = Callable[[int], float]

INTERVAL = 10

PLAIN = "plain"
TORCH_PLAIN, TORCH_PENALIZED = "PyTorch, plain", "PyTorch, double backward"


def add_flags(parser: argparse.ArgumentParser, *, rounds: int, seconds: float) -> None:
    """Add the flags that `timing` reads, with these defaults."""
    parser.add_argument("--rounds", type=int, default=rounds, help="number of turns of each way")
    parser.add_argument("--seconds", type=float, default=seconds, help="length of one turn (s)")


def timing(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments `rounds` and `seconds` of `take_turns`."""
    return {"rounds": arguments.rounds, "seconds": arguments.seconds}


def timed(step: Callable[[], Any]) -> Run:
    """Turn a step that waits for its result into a `Run`."""

    def run(count: int) -> float:
        clock = time.perf_counter()
        for _ in range(count):
            step()
        return time.perf_counter() - clock

    return run


def take_turns(ways: dict[str, Run], *, rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Seconds per step of each way [rounds].

    Args:
        ways: by name.
        rounds: in each of which every way has one turn.
        seconds: approximate length of a turn.
    """
    counts = {}
    for name, run in ways.items():
        run(2)  # compile, and touch the memory
        counts[name] = max(1, round(seconds / min(run(1), run(1))))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            # Warm-up, not timed: the previous way left its data in caches and its threads spinning.
            run(-(-counts[name] // 10))
            times[name].append(run(counts[name]) / counts[name])
    return {name: np.array(values) for name, values in times.items()}


def rounds(times: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each way's step over its framework's plain step of the same round [rounds]."""
    bases = {way: TORCH_PLAIN if way.startswith("PyTorch") else PLAIN for way in times}
    return {way: ours / times[bases[way]] for way, ours in times.items()}


def ratios(times: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Median and quartiles of `rounds`, and the median time of a step.

    `ratio_interval` is the ratio of the mean step if every 10th step has the penalty.
    """
    figures = {}
    for way, of_rounds in rounds(times).items():
        low, middle, high = np.quantile(of_rounds, [0.25, 0.5, 0.75])
        figures[way] = {
            "milliseconds": float(np.median(times[way]) * 1e3),
            "ratio": float(middle),
            "ratio_low": float(low),
            "ratio_high": float(high),
            "ratio_interval": float((INTERVAL - 1 + middle) / INTERVAL),
        }
    return figures
