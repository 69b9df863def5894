"""The parts of `bench.gpu`, on this machine's processor."""

from __future__ import annotations

import pytest

from bench import gpu

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("size", gpu.SIZES[:1])
@pytest.mark.parametrize("name", gpu.WAYS[2:])
def test_estimates_agree_with_float64(name: str, size: float) -> None:
    value, gradient = gpu.relative_errors(name, "highest", size)
    assert 0 < value < 1e-5
    assert 0 < gradient < 1e-5


def test_each_way_is_timed_over_the_plain_step() -> None:
    found = gpu.time_steps(gpu.SMALL, 20)
    assert found["plain"]["ratio"] == 1
    assert {"SAM", "gram, every 10th", "autodiff, every 10th"} < set(found)
    assert all(way["microseconds"] > 0 for way in found.values())
