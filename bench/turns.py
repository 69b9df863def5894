"""Ways to do the same take turns, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Takes so many steps and tells the seconds of all of them.
Run = Callable[[int], float]

INTERVAL = 10

TORCH_PLAIN, TORCH_PENALIZED = "PyTorch, plain", "PyTorch, double backward"


def timed(step: Callable[[], Any]) -> Run:
    """A step, which waits for its result, as something that can be timed."""

    def run(count: int) -> float:
        clock = time.perf_counter()
        for _ in range(count):
            step()
        return time.perf_counter() - clock

    return run


def take_turns(ways: dict[str, Run], *, rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Seconds a step of each way [rounds]: one turn of about so many seconds a round and way."""
    counts = {}
    for name, run in ways.items():
        run(2)  # compile, and touch the memory
        counts[name] = max(1, round(seconds / min(run(1), run(1))))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            # Not timed: what the one before left in caches, and threads that still wait, spinning.
            run(-(-counts[name] // 10))
            times[name].append(run(counts[name]) / counts[name])
    return {name: np.array(found) for name, found in times.items()}


def ratios(times: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Each way's step over the plain step of its framework in the same round, median and quartiles.

    `ratio_interval` is of the mean step when every 10th takes the penalty.
    """
    found = {}
    for name, ours in times.items():
        base = TORCH_PLAIN if name.startswith("PyTorch") else "plain"
        low, middle, high = np.quantile(ours / times[base], [0.25, 0.5, 0.75])
        found[name] = {
            "milliseconds": float(np.median(ours) * 1e3),
            "ratio": float(middle),
            "ratio_low": float(low),
            "ratio_high": float(high),
            "ratio_interval": float((INTERVAL - 1 + middle) / INTERVAL),
        }
    return found
