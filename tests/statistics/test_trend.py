"""Page's test against scipy, enumeration and permutation."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics
from flatreg.statistics import trend


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("n", "k"), [(2, 3), (3, 5), (10, 5), (4, 7)])
def test_page_s_p_is_scipy_s_exact_one(n: int, k: int) -> None:
    blocks = rng().normal(size=(n, k)) + np.arange(k) / 4
    result = statistics.page_test(blocks)
    rising, falling = (stats.page_trend_test(b, method="exact") for b in (blocks, blocks[:, ::-1]))
    assert result.statistic == rising.statistic
    assert result.p_rising == pytest.approx(rising.pvalue, rel=1e-9)
    assert result.p_falling == pytest.approx(falling.pvalue, rel=1e-9)
    assert (result.n, result.note) == (n, None)


@pytest.mark.parametrize(
    "blocks",
    [
        [[1.0, 3, 2], [1, 2, 3], [2, 1, 3], [1, 2, 3]],
        # Accuracies are equal at small lambdas, so most rows have tied ranks.
        [[1.0, 1, 1, 2], [1, 1, 1, 1], [1, 1, 2, 2]],
    ],
)
def test_page_s_p_is_that_of_all_orders_with_ties_too(blocks: list[list[float]]) -> None:
    ranks = stats.rankdata(blocks, axis=1)
    columns = np.arange(1, ranks.shape[1] + 1)
    orders = [[np.dot(order, columns) for order in permutations(row)] for row in ranks]
    sums = np.array([sum(parts) for parts in product(*orders)])
    seen = np.sum(ranks @ columns)
    result = statistics.page_test(np.array(blocks))
    assert result.statistic == seen
    assert result.p_rising == pytest.approx(np.mean(sums >= seen))
    assert result.p_falling == pytest.approx(np.mean(sums <= seen))


def test_the_smallest_p_of_many_seeds_is_right() -> None:
    result = statistics.page_test(np.tile(np.arange(9.0), (10, 1)))
    assert result.p_rising == pytest.approx((1 / 362_880) ** 10, rel=1e-9)
    assert result.p_falling == 1


def test_many_lambdas_have_a_normal_approximation() -> None:
    blocks = rng().normal(size=(12, 13)) + np.arange(13) / 20
    blocks[0] = 1.0
    shuffled = rng().permuted(np.tile(blocks, (20_000, 1, 1)), axis=2)
    effects = statistics.rank_correlations(shuffled).mean(axis=-1)
    seen = statistics.rank_correlations(blocks).mean()
    result = statistics.page_test(blocks)
    assert result.note == "normal approximation"
    assert result.p_rising == pytest.approx(np.mean(effects >= seen), abs=0.01)
    assert result.p_rising + result.p_falling == pytest.approx(1)


@pytest.mark.parametrize("k", [5, trend.EXACT_COLUMNS + 1])
def test_seeds_that_do_not_vary_have_no_trend(k: int) -> None:
    result = statistics.page_test(np.ones((4, k)))
    assert (result.p_rising, result.p_falling) == (1, 1)


@pytest.mark.parametrize("shape", [(0, 5), (3, 2)])
def test_what_has_no_trend_has_a_reason(shape: tuple[int, int]) -> None:
    result = statistics.page_test(np.ones(shape))
    assert result.note == "Page's test needs a seed and three lambdas"
    assert np.isnan([result.p_rising, result.p_falling]).all()


def test_a_seed_that_misses_a_value_is_left_out() -> None:
    blocks = rng().normal(size=(5, 4))
    with_missing = np.vstack([blocks, [[1.0, 2.0, np.nan, 4.0]]])
    assert statistics.page_test(with_missing) == statistics.page_test(blocks)


def test_the_size_of_a_trend_is_the_mean_of_spearman_s() -> None:
    blocks = rng().normal(size=(6, 5)) + np.arange(5) / 3
    effect = statistics.rank_correlations(blocks).mean()
    each = [stats.spearmanr(block, np.arange(5)).statistic for block in blocks]
    assert effect == pytest.approx(np.mean(each))
    # Page 1963 gives the mean rank correlation as a function of L.
    page = statistics.page_test(blocks).statistic
    assert effect == pytest.approx(12 * page / (6 * 5 * 24) - 3 * 6 / 4)


def test_a_row_that_does_not_vary_has_no_correlation() -> None:
    each = statistics.rank_correlations(np.array([[1.0, 1, 1], [1, 2, 3]]))
    assert each == pytest.approx([0, 1])
