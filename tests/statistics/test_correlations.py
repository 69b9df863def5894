"""Means of correlations: Fisher's z by hand, sign tests and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics

ONE_SIDED = ("p_above", "p_not_above", "p_below", "p_not_below")


def test_a_correlation_is_tested_by_fisher_s_z() -> None:
    values = np.array([0.9, 1.0, 0.7, 0.8, 1.0, 0.3])
    result = statistics.correlation_margin_test(values, 0.2, 0.05)
    mean, error = values.mean(), stats.sem(values)
    t = (np.arctanh(mean) - np.arctanh(0.2)) * (1 - mean**2) / error
    assert result.p_above == pytest.approx(stats.t.sf(t, 5))
    half = stats.t.ppf(0.975, 5) * error / (1 - mean**2)
    ends = np.tanh(np.arctanh(mean) + np.array([-half, half]))
    assert (result.low, result.high) == pytest.approx(tuple(ends))
    assert (result.estimate, result.sd) == (mean, np.std(values, ddof=1))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_of_a_correlation_stays_inside_its_range(sign: int) -> None:
    result = statistics.correlation_margin_test(sign * np.array([1.0, 1, 1, 1, 0.9]), 0.2, 0.05)
    assert -1 <= result.low < result.estimate < result.high <= 1
    beyond = statistics.correlation_margin_test(sign * np.array([1.3, 0.9, 1.1]), 0.2, 0.05)
    assert -1 <= beyond.low <= beyond.estimate <= beyond.high <= 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, (0, 1, 1, 0)), (-0.6, (1, 0, 0, 1)), (0.2, (1, 1, 1, 0)), (0.0, (1, 0, 1, 0))],
)
def test_seeds_that_all_trend_alike_are_tested_by_signs(
    value: float, expected: tuple[int, ...]
) -> None:
    result = statistics.correlation_margin_test(np.full(10, value), 0.2, 0.05)
    assert [getattr(result, name) for name in ONE_SIDED] == [one or 2**-10 for one in expected]
    assert result.note == "all 10 seeds have the same correlation: tested by signs"


def ranked(rng: np.random.Generator, step: float, shape: tuple[int, ...]) -> np.ndarray:
    """Rank correlations of seeds with five lambdas whose metric rises by `step` sd at each."""
    blocks = rng.standard_normal((*shape, 5)) + step * np.arange(5)
    return statistics.rank_correlations(blocks)


@pytest.mark.parametrize("step", [0.15, 0.5, 1.0])
def test_false_trends_beyond_a_margin_stay_near_the_level(step: float) -> None:
    rng = np.random.default_rng(5)
    truth = float(np.mean(ranked(rng, step, (200_000,))))
    tests = [
        statistics.correlation_margin_test(values, truth, 0.05)
        for values in ranked(rng, step, (4000, 10))
    ]
    # At the end of the margin both nulls are true. The few values that a correlation can take make
    # the upper test reject up to twice as often as it should.
    for name, most in (("p_above", 0.025), ("p_not_above", 0.01)):
        assert np.mean([getattr(test, name) < 0.01 for test in tests]) < most
    covered = np.mean([test.low < truth < test.high for test in tests])
    assert 0.93 < covered < 0.97


def test_a_mean_correlation_has_the_interval_and_the_p_of_z() -> None:
    values = np.array([0.9, 1.0, -0.7, 0.8, 0.2, 0.3])
    result = statistics.mean_correlation(values, 0.05)
    test = statistics.correlation_margin_test(values, 0.2, 0.05)
    assert result[:4] == (6, *test[1:4])
    t = np.arctanh(values.mean()) * (1 - values.mean() ** 2) / stats.sem(values)
    assert result.p == pytest.approx(2 * stats.t.sf(abs(t), 5))
    # The 1 - p interval ends at 0.
    assert statistics.mean_correlation(values, result.p).low == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "no seed has a value"),
        ([0.5], "one value has no spread"),
        ([1.0, 1.0], "all 2 seeds have the same correlation"),
    ],
)
def test_a_mean_correlation_without_spread_has_a_reason(values: list[float], note: str) -> None:
    result = statistics.mean_correlation(np.array(values), 0.05)
    assert result.note == note
    assert np.isnan([result.low, result.high, result.p]).all()


def test_a_margin_of_correlations_is_below_1() -> None:
    with pytest.raises(ValueError, match="must be below 1"):
        statistics.correlation_margin_test(np.array([0.1, 0.2]), 1.0, 0.05)
