"""Tests against a margin: closed forms, scipy, a published example and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from flatreg import statistics
from flatreg.statistics import margin

VALUES = np.random.default_rng(0).normal(0.3, 1.0, 8)
ONE_SIDED = ("p_above", "p_not_above", "p_below", "p_not_below")


def p_values(test: statistics.MarginTest) -> tuple[float, ...]:
    return tuple(getattr(test, name) for name in ONE_SIDED)


def test_each_p_is_a_one_sided_t_test_of_scipy() -> None:
    result = statistics.margin_test(VALUES, 0.5, 0.05)
    expected = [
        stats.ttest_1samp(VALUES, end, alternative=side).pvalue
        for end, side in ((0.5, "greater"), (0.5, "less"), (-0.5, "less"), (-0.5, "greater"))
    ]
    assert p_values(result) == pytest.approx(expected, rel=1e-12)
    assert result.p_within == max(result.p_not_above, result.p_not_below)
    interval = stats.ttest_1samp(VALUES, 0.0).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx(tuple(interval))
    assert (result.estimate, result.sd) == (np.mean(VALUES), np.std(VALUES, ddof=1))
    assert abs(result.largest) == np.max(np.abs(VALUES))


def test_sleep_data_give_the_published_interval() -> None:
    # Hours of sleep gained under two drugs (Cushny and Peebles 1905, cited by Student 1908).
    gained = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    result = statistics.margin_test(gained, 0.5, 0.05)
    assert result.estimate == pytest.approx(1.58)
    assert (result.low, result.high) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


def sample(n: int, mean: float) -> np.ndarray:
    """Values [n] with exactly this mean and the standard deviation 1."""
    values = np.random.default_rng(n).standard_normal(n)
    return mean + (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize("mean", [3.0, 30.0, 3e3, 3e8])
def test_tails_are_right_down_to_any_p(mean: float) -> None:
    # The t distribution with 2 degrees of freedom has a closed form, here without cancellation.
    t = (mean - 1) * np.sqrt(3)
    expected = 1 / (2 + t**2 + t * np.sqrt(2 + t**2))
    result = statistics.margin_test(sample(3, mean), 1.0, 0.05)
    assert result.p_above == pytest.approx(expected, rel=1e-6)
    mirrored = statistics.margin_test(sample(3, -mean), 1.0, 0.05)
    assert mirrored.p_below == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "mean"), [(10, 2e3), (20, 40.0), (30, 12.0), (30, 1e4)])
def test_tails_are_an_incomplete_beta_function(n: int, mean: float) -> None:
    df, t = n - 1, (mean - 1) * np.sqrt(n)
    expected = special.betainc(df / 2, 0.5, df / (df + t**2)) / 2
    result = statistics.margin_test(sample(n, mean), 1.0, 0.05)
    assert 0 < result.p_above < 1e-16
    assert result.p_above == pytest.approx(expected, rel=1e-8)
    assert np.log(result.p_above) == pytest.approx(stats.t.logsf(t, df))


def test_a_null_is_rejected_exactly_if_the_interval_misses_it() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for mean in rng.uniform(-2, 2, 400):
        values = rng.normal(mean, 0.6, 6)
        for test in (
            statistics.margin_test(values, 0.5, 0.05),
            statistics.correlation_margin_test(np.tanh(values), 0.5, 0.05),
            statistics.spread_margin_test(
                values * np.exp(3 * mean), rng.standard_normal(20), 1.5, 0.05
            ),
        ):
            end, lower = (1.5, 1 / 1.5) if np.isnan(test.sd) else (0.5, -0.5)
            rejected = [p < 0.05 for p in test.nulls()]
            missed = [test.low > lower, not (test.low < end and test.high > lower), test.high < end]
            assert rejected == missed
            seen.add(tuple(rejected))
    assert len(seen) == 6  # every outcome but the impossible ones: all, and within alone


def test_overlapping_splits_widen_the_interval() -> None:
    # Nadeau and Bengio: 15 splits of 700 training and 300 test examples.
    values = np.random.default_rng(3).normal(0.02, 0.01, 15)
    share = 300 / 700
    result = statistics.margin_test(values, 0.005, 0.05, overlap=share)
    error = np.sqrt((1 / 15 + share) * np.var(values, ddof=1))
    assert result.p_above == pytest.approx(stats.t.sf((np.mean(values) - 0.005) / error, 14))
    half = stats.t.ppf(0.975, 14) * error
    assert (result.low, result.high) == pytest.approx(
        (np.mean(values) - half, np.mean(values) + half)
    )
    plain = statistics.margin_test(values, 0.005, 0.05)
    assert (result.high - result.low) / (plain.high - plain.low) == pytest.approx(
        np.sqrt(1 + 15 * share)
    )


@pytest.mark.parametrize(("corrected", "least", "most"), [(True, 0.044, 0.056), (False, 0.15, 1)])
def test_the_correction_holds_the_level_at_the_correlation_that_it_assumes(
    corrected: bool, least: float, most: float
) -> None:
    # The correlation n_test / (n_test + n_train) of any two splits, by a part that all share.
    rng, splits, share = np.random.default_rng(4), 10, 0.25
    rho = share / (1 + share)
    rounds = 10_000
    shared = rng.standard_normal((rounds, 1))
    values = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.standard_normal((rounds, splits))
    error = margin.standard_error(1.0, splits, share if corrected else 0.0)
    t = values.mean(axis=1) / (error * values.std(axis=1, ddof=1))
    if corrected:
        first = statistics.margin_test(values[0] + 1, 1.0, 0.05, overlap=share)
        assert first.p_above == pytest.approx(stats.t.sf(t[0], splits - 1))
    assert least < np.mean(stats.t.sf(t, splits - 1) < 0.05) < most


# ── What cannot be tested ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "no seed has a value"),
        ([1.0], "one value has no spread"),
        ([0.5, 0.5, 0.5], "all 3 values are equal: no spread to test with"),
    ],
)
def test_what_has_no_spread_has_a_reason_and_no_p(values: list[float], note: str) -> None:
    result = statistics.margin_test(np.array(values), 1.0, 0.05)
    assert result.note == note
    assert np.isnan([*p_values(result), result.p_within, *result.nulls()]).all()
    assert len(values) == 0 or result.largest == values[0]


def test_differences_of_rounding_are_no_spread() -> None:
    treated, baseline = np.array([0.1 + 0.2, 0.5]), np.array([0.3, 0.5])
    result = statistics.margin_test(treated - baseline, 1.0, 0.05, scale=0.5)
    assert result.note == "all 2 values are equal: no spread to test with"


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="margin must be above 0"):
        statistics.margin_test(VALUES, 0.0, 0.05)
    with pytest.raises(ValueError, match="overlap"):
        statistics.margin_test(VALUES, 1.0, 0.05, overlap=-0.1)
