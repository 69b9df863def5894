"""The ratio of two means, against the t-tests that its interval inverts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from flatreg import statistics


def draw(seed: int, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    below = rng.normal(-1.0, 0.2, n)
    return 0.3 * below + rng.normal(0, 0.05, n), below


@pytest.mark.parametrize("seed", range(3))
def test_the_ends_are_where_a_t_test_begins_to_reject(seed: int) -> None:
    above, below = draw(seed)
    found = statistics.ratio_of_means(above, below, 0.1)
    assert found.estimate == pytest.approx(above.mean() / below.mean())

    def excess(ratio: float) -> float:
        return float(stats.ttest_1samp(above - ratio * below, 0).pvalue) - 0.1

    low = optimize.brentq(excess, found.estimate - 1, found.estimate)
    high = optimize.brentq(excess, found.estimate, found.estimate + 1)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)


def test_it_covers_the_ratio() -> None:
    intervals = [statistics.ratio_of_means(*draw(seed), 0.05) for seed in range(1000)]
    covered = np.mean([found.low <= 0.3 <= found.high for found in intervals])
    assert 0.93 < covered < 0.97


def test_a_mean_that_may_be_0_leaves_no_interval() -> None:
    above, below = draw(0)
    found = statistics.ratio_of_means(above, below + 1, 0.05)
    assert np.isnan(found.low)
    assert "may be 0" in found.note
    assert np.isnan(statistics.ratio_of_means(np.empty(0), np.empty(0), 0.05).estimate)
    assert statistics.ratio_of_means(above[:1], below[:1], 0.05).note == "fewer than two pairs"
    assert np.isnan(statistics.ratio_of_means(below, below, 0.05).low)
