"""The bench of BLAS's threads holds them while its steps run, and not for longer."""

from __future__ import annotations

from typing import Any

import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from bench import blas
from bench.networks import Shape


def threads() -> set[int]:
    """Threads of all BLAS libraries of this process."""
    pools = ThreadpoolController().select(user_api="blas").info()
    return {pool["num_threads"] for pool in pools}


def test_blas_has_one_thread_while_the_steps_run_and_its_own_after_them() -> None:
    seen: list[set[int]] = []

    def run(count: int) -> float:
        seen.append(threads())
        return float(count)

    with threadpool_limits(2, user_api="blas"):
        assert blas.on_one_thread(run)(3) == 3.0
        assert (seen, threads()) == ([{1}], {2})


def test_both_ways_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Shape(inputs=6, hidden=(4,), outputs=3, batch=5)
    monkeypatch.setitem(blas.CURVES["batch"], 128, small)
    timing: dict[str, Any] = {"rounds": 2, "seconds": 0.01}
    figures = blas.measure(128, timing)
    assert list(figures) == ["plain", "gram", "gram, BLAS on one thread"]
    assert all(way["milliseconds"] > 0 for way in figures.values())
