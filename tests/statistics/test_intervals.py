"""Bootstrap intervals and intervals of accuracies, against published examples and loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics
from flatreg.statistics import aggregate, bootstrap

# Efron and Tibshirani 1993, table 14.1: spatial ability of 26 children, test A.
SPATIAL = np.array(
    [
        *[48.0, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6],
        *[0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41],
    ]
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_bca_gives_the_published_interval() -> None:
    result = statistics.bca_interval((SPATIAL,), np.var, alpha=0.1, rng=rng())
    assert result.estimate == pytest.approx(171.5, abs=0.05)
    # Efron and Tibshirani 1993, table 14.2, of 2000 resamples.
    assert (result.low, result.high) == pytest.approx((115.8, 259.6), rel=0.03)


def test_bca_of_two_samples_is_a_second_implementation_s() -> None:
    x, y = rng().exponential(size=9), rng().normal(size=7)

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    draws = np.random.default_rng(1)
    values = difference(
        x[draws.integers(9, size=(40_000, 9))], y[draws.integers(7, size=(40_000, 7))]
    )
    shift = stats.norm.ppf(np.mean(values < difference(x, y)))
    left_out = (
        [np.delete(x, i).mean() for i in range(9)],
        [np.delete(y, i).mean() for i in range(7)],
    )
    influence = [(n - 1) * (np.mean(m) - m) / n for n, m in ((9, left_out[0]), (7, left_out[1]))]
    influence[1] = -influence[1]
    cubes, squares = (sum(np.sum(u**k) for u in influence) for k in (3, 2))
    skew = cubes / (6 * squares**1.5)
    z = shift + stats.norm.ppf([0.025, 0.975])
    ends = np.quantile(values, stats.norm.cdf(shift + z / (1 - skew * z)))
    result = statistics.bca_interval((x, y), difference, alpha=0.05, rng=rng())
    assert (result.low, result.high) == pytest.approx(tuple(ends), abs=0.05)


def test_the_same_generator_gives_the_same_interval() -> None:
    once, again = (statistics.bca_interval((SPATIAL,), np.mean, 0.05, rng()) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(
    ("sample", "note"),
    [
        ([], "no run has a value"),
        ([1.0], "one run has no spread"),
        ([0.1, 0.1, 0.1], "all runs agree: no interval"),
    ],
)
def test_what_has_no_interval_has_a_reason(sample: list[float], note: str) -> None:
    result = statistics.bca_interval((np.array(sample),), np.mean, 0.05, rng())
    assert result.note == note
    assert np.isnan([result.low, result.high]).all()


def test_without_a_correction_the_interval_is_of_percentiles() -> None:
    # Leaving out any one value does not change the range, so the acceleration is 0 / 0.
    sample = np.array([0.0, 0, 1, 1])
    result = statistics.bca_interval((sample,), np.ptp, 0.05, rng())
    assert result.note == "percentiles: the correction (BCa) cannot be had"
    # Two of the 16 resamples consist of a single value.
    assert (result.low, result.high) == (0, 1)


def test_interquartile_mean_by_hand() -> None:
    scores = [np.array([1.0, 100.0, 3.0]), np.array([2.0, 4.0, 5.0, 6.0, -50.0])]
    # The middle four of the eight runs are 2, 3, 4 and 5.
    result = statistics.interquartile_mean(scores, 0.05, rng())
    assert result.estimate == 3.5
    assert result.low < 3.5 < result.high


def test_the_interval_is_stratified_by_data_set() -> None:
    scores = [rng().normal(size=6), rng().normal(loc=5, size=4)]
    draws = np.random.default_rng(1)
    values = [
        stats.trim_mean(np.concatenate([draws.choice(s, len(s)) for s in scores]), 0.25)
        for _ in range(4000)
    ]
    result = statistics.interquartile_mean(scores, 0.05, rng())
    assert (result.low, result.high) == pytest.approx(
        tuple(np.quantile(values, [0.025, 0.975])), abs=0.15
    )


def test_probability_of_improvement_is_mann_whitney_s() -> None:
    treated = [np.array([3.0, 4, 4, 7]), np.array([1.0, 2])]
    baseline = [np.array([2.0, 4, 5]), np.array([1.0, 0, 2])]
    result = statistics.probability_of_improvement(treated, baseline, 0.05, rng())
    each = [
        stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
        for x, y in zip(treated, baseline, strict=True)
    ]
    assert result.estimate == pytest.approx(np.mean(each))
    assert result.low < result.estimate < result.high
    assert aggregate.superiority(np.ones(2), np.ones(3)) == 0.5


def test_aggregates_without_runs_or_spread_have_a_reason() -> None:
    empty = statistics.interquartile_mean([np.array([1.0, 2]), np.array([])], 0.05, rng())
    assert empty.note == "a data set has no run with a value"
    single = statistics.interquartile_mean([np.array([1.0]), np.array([2.0, 3])], 0.05, rng())
    assert (single.estimate, single.note) == (2, "a data set has one run: no interval")
    alike = statistics.interquartile_mean([np.ones(3), np.zeros(3)], 0.05, rng())
    assert alike.note == "all runs of a data set agree: no interval"


@pytest.mark.parametrize(
    ("correct", "examples", "low", "high"),
    # Newcombe 1998, table I, method 3. doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>
    # 3.0.CO;2-E.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_an_accuracy_s_interval_is_wilson_s(
    correct: int, examples: int, low: float, high: float
) -> None:
    result = statistics.accuracy_interval(correct, examples, alpha=0.05)
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-5)


def test_sampling_sd_is_the_binomial_s() -> None:
    assert statistics.sampling_sd(0.5, 100) == pytest.approx(0.05)
    assert statistics.sampling_sd(0.96, 114) == pytest.approx(stats.binom.std(114, 0.96) / 114)


def test_ends_of_many_samples_at_once_are_those_of_each() -> None:
    samples = rng().exponential(size=(3, 12))
    values = bootstrap.resample((samples,), np.mean, rng(), 999)
    low, high, corrected = bootstrap.bca_ends((samples,), np.mean, 0.05, values)
    each = [
        bootstrap.bca_ends((s,), np.mean, 0.05, v)[:2] for s, v in zip(samples, values, strict=True)
    ]
    assert corrected.all()
    np.testing.assert_allclose(np.transpose([low, high]), each)
