"""Trend tests against a published example, enumeration and permutation."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics
from flatreg.statistics import trend

# Pieces produced per group, by feedback given (Hundal 1969; Hollander and Wolfe, example 6.2).
PIECES = [
    np.array([40.0, 35, 38, 43, 44, 41]),
    np.array([38.0, 40, 47, 44, 40, 42]),
    np.array([48.0, 40, 45, 43, 46, 44]),
]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_jonckheere_gives_the_published_figures() -> None:
    result = statistics.jonckheere_terpstra(PIECES, 0.05, rng())
    assert result.statistic == 79
    sizes, ties = np.array([6, 6, 6]), np.unique(np.concatenate(PIECES), return_counts=True)[1]
    assert trend.jonckheere_variance(sizes, ties) == pytest.approx(150.29, abs=5e-3)
    assert result.p == pytest.approx(2 * 0.0207, abs=1e-4)
    assert result.effect == pytest.approx((79 - 29) / 108)
    assert result.low < result.effect < result.high


def test_jonckheere_s_p_is_that_of_permutations() -> None:
    pooled = np.concatenate(PIECES)
    shuffled = rng().permuted(np.tile(pooled, (20_000, 1)), axis=1)
    shares = trend.rising_share(*np.split(shuffled, 3, axis=1), axis=-1)
    seen = trend.rising_share(*PIECES, axis=-1)
    share = np.mean(np.abs(shares) >= seen - 1e-9)
    result = statistics.jonckheere_terpstra(PIECES, 0.05, rng())
    # The normal approximation without continuity correction is slightly smaller.
    assert result.p == pytest.approx(share, abs=0.005)
    assert trend.jonckheere_variance(
        np.array([6, 6, 6]), np.unique(pooled, return_counts=True)[1]
    ) == pytest.approx(np.var(shares * 54), rel=0.03)


def test_jonckheere_of_two_samples_is_mann_whitney() -> None:
    x, y = np.array([1.0, 2, 2, 5, 7]), np.array([2.0, 3, 5, 6, 8, 9])
    result = statistics.jonckheere_terpstra([x, y], 0.05, rng())
    expected = stats.mannwhitneyu(y, x, use_continuity=False, method="asymptotic")
    assert result.statistic == expected.statistic
    assert result.p == pytest.approx(expected.pvalue)


def test_jonckheere_of_uneven_samples_by_counting() -> None:
    samples = [np.array([3.0, 1]), np.array([2.0, 3, 5]), np.array([4.0])]
    ordered = [(x, y) for i in range(3) for j in range(i) for y in samples[i] for x in samples[j]]
    rising = sum((y > x) + (y == x) / 2 for x, y in ordered)
    result = statistics.jonckheere_terpstra([*samples, np.array([])], 0.05, rng())
    assert (result.n, result.statistic) == (6, pytest.approx(rising))
    assert result.effect == pytest.approx(2 * rising / len(ordered) - 1)


def test_a_trend_without_spread_or_runs_has_a_reason() -> None:
    alike = statistics.jonckheere_terpstra([np.ones(3)] * 3, 0.05, rng())
    assert (alike.p, alike.effect, alike.note) == (1, 0, "all runs agree: no trend")
    alone = statistics.jonckheere_terpstra([np.ones(3), np.array([])], 0.05, rng())
    assert alone.note == "a trend needs runs at two lambdas"
    few = statistics.page_trend(np.ones((1, 5)), 0.05, rng())
    assert few.note == "Page's test needs two seeds and three lambdas"


@pytest.mark.parametrize("sign", [1, -1])
def test_page_s_p_is_that_of_all_rankings(sign: int) -> None:
    blocks = sign * np.array([[1.0, 3, 2], [1, 2, 3], [2, 1, 3], [1, 2, 3]])
    result = statistics.page_trend(blocks, 0.05, rng())
    center = len(blocks) * 3 * 4**2 / 4
    all_l = [
        sum(np.dot(ranking, [1, 2, 3]) for ranking in rankings)
        for rankings in product(permutations([1, 2, 3]), repeat=len(blocks))
    ]
    seen = abs(result.statistic - center)
    assert result.p == pytest.approx(np.mean(np.abs(np.array(all_l) - center) >= seen))
    assert np.sign(result.effect) == sign


def test_page_s_p_is_not_too_small_with_ties() -> None:
    # Accuracies are equal at small lambdas, so most rows have tied ranks.
    blocks = np.array([[1.0, 1, 1, 2], [1, 1, 1, 1], [1, 1, 2, 2], [1, 1, 1, 2], [2, 2, 2, 3]])
    result = statistics.page_trend(blocks, 0.05, rng())
    shuffled = rng().permuted(np.tile(blocks, (20_000, 1, 1)), axis=2)
    effects = trend.rank_correlations(shuffled).mean(axis=-1)
    assert result.p > np.mean(np.abs(effects) >= result.effect - 1e-9)


def test_the_size_of_page_s_trend_is_the_mean_of_spearman_s() -> None:
    blocks = rng().normal(size=(6, 5)) + np.arange(5) / 3
    result = statistics.page_trend(blocks, 0.05, rng())
    each = [stats.spearmanr(block, np.arange(5)).statistic for block in blocks]
    assert result.effect == pytest.approx(np.mean(each))
    # Page 1963 gives the mean rank correlation as a function of L.
    assert result.effect == pytest.approx(12 * result.statistic / (6 * 5 * 24) - 3 * 6 / 4)
    assert result.low < result.effect < result.high


def test_a_seed_that_misses_a_value_is_left_out() -> None:
    blocks = rng().normal(size=(5, 4))
    with_missing = np.vstack([blocks, [[1.0, 2.0, np.nan, 4.0]]])
    assert statistics.page_trend(with_missing, 0.05, rng()) == statistics.page_trend(
        blocks, 0.05, rng()
    )


def test_a_row_that_does_not_vary_has_no_trend() -> None:
    result = statistics.page_trend(np.array([[1.0, 1, 1], [1, 2, 3]]), 0.05, rng())
    assert result.effect == pytest.approx(0.5)
    alike = statistics.page_trend(np.tile([1.0, 2, 3], (4, 1)), 0.05, rng())
    assert (alike.effect, alike.note) == (1, "all seeds trend alike: no interval")


def test_false_trends_stay_at_alpha() -> None:
    blocks = np.random.default_rng(4).normal(size=(1000, 3, 5))
    bound = 0.05 + 4 * np.sqrt(0.05 * 0.95 / 1000)
    tests = [stats.page_trend_test(b).pvalue for b in blocks]
    two_sided = [min(1, 2 * min(p, 1 - p)) for p in tests]
    result = [statistics.page_trend(b, 0.05, rng()).p for b in blocks[:100]]
    # The exact p is discrete, so the other tail is 1 - p plus the probability of one value.
    assert np.all(np.array(result) >= np.array(two_sided[:100]) - 1e-12)
    assert np.mean(np.array(two_sided) < 0.05) < bound
