"""The statistics against scipy, published examples and power tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from flatreg import statistics

# Hours of sleep gained under two drugs (Cushny and Peebles 1905, cited by Student 1908).
FIRST = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SECOND = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_sleep_data_give_the_published_figures() -> None:
    result = statistics.compare(SECOND, FIRST, (SECOND, FIRST), alpha=0.05)
    assert result.difference == pytest.approx(1.58)
    assert result.paired_t == pytest.approx(4.0621, abs=5e-5)
    assert result.paired_p == pytest.approx(0.002833, abs=5e-7)
    assert result.welch_t == pytest.approx(1.8608, abs=5e-5)
    assert result.welch_df == pytest.approx(17.776, abs=5e-4)
    assert result.welch_p == pytest.approx(0.07939, abs=5e-6)
    assert (result.low, result.high) == pytest.approx((-0.2054832, 3.3654832), abs=5e-7)
    assert result.student_p == pytest.approx(0.07919, abs=5e-6)
    assert result.note is None


def test_interval_of_a_mean_is_student_s() -> None:
    result = statistics.summarize(FIRST, alpha=0.05)
    half = 2.2621571628 * FIRST.std(ddof=1) / np.sqrt(10)  # t quantile, 9 degrees of freedom
    assert result.low == pytest.approx(FIRST.mean() - half)
    assert result.high == pytest.approx(FIRST.mean() + half)
    assert (result.n, result.minimum, result.maximum) == (10, -1.6, 3.7)


@pytest.mark.parametrize(
    ("sample", "note"),
    [
        ([], "no run has a value"),
        ([1.0], "one run has no spread"),
        ([2.0, 2.0, 2.0], "all runs agree: no interval"),
    ],
)
def test_a_tiny_or_constant_sample_has_a_reason(sample: list[float], note: str) -> None:
    result = statistics.summarize(np.array(sample), alpha=0.05)
    assert result.note == note
    assert np.isnan(result.low)


@pytest.mark.parametrize(
    ("treated", "baseline", "note"),
    [
        ([], [1.0, 2.0], "no run at this lambda has a value"),
        ([1.0, 2.0], [], "no run at lambda 0 has a value"),
        ([1.0], [1.0, 2.0], "a test needs two runs on either side"),
        ([1.0, 1.0], [2.0, 2.0], "all runs agree on either side: no spread to test against"),
        ([2.0, 3.0], [1.0, 2.0], "no paired test: all differences agree"),
    ],
)
def test_what_cannot_be_tested_has_a_reason_and_no_p(
    treated: list[float], baseline: list[float], note: str
) -> None:
    samples = np.array(treated), np.array(baseline)
    pairs = samples if len(treated) == len(baseline) else (samples[0][:0], samples[1][:0])
    result = statistics.compare(*samples, pairs, alpha=0.05)
    assert result.note == note
    assert np.isnan(result.paired_p)
    if "paired" not in note:
        assert np.isnan(result.welch_p)


def test_a_shift_of_rounding_size_is_no_paired_spread() -> None:
    baseline = np.array([0.9, 0.8, 0.7])
    result = statistics.compare(baseline + 0.1, baseline, (baseline + 0.1, baseline), 0.05)
    assert result.note == "no paired test: all differences agree"


def test_holm_by_hand() -> None:
    adjusted = statistics.holm(np.array([0.01, 0.04, np.nan, 0.03]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, np.nan, 0.06])


def test_holm_is_a_second_implementation_s() -> None:
    p_values = np.random.default_rng(0).uniform(size=(20, 6)) ** 3
    p_values[:, 4] = p_values[:, 1]
    for family in p_values:
        expected = multipletests(family, method="holm")[1]
        np.testing.assert_array_equal(statistics.holm(family), expected)


def test_no_known_p_value_is_adjusted() -> None:
    assert np.isnan(statistics.holm(np.array([np.nan, np.nan]))).all()


def test_hedges_g_has_the_exact_correction() -> None:
    pooled = np.sqrt((FIRST.var(ddof=1) + SECOND.var(ddof=1)) / 2)
    plain = (SECOND.mean() - FIRST.mean()) / pooled
    # Hedges 1981, table: c(18) = 0.9577 (rounded; 1 - 3 / (4 * 18 - 1) is 0.9577 too).
    assert statistics.hedges_g(SECOND, FIRST) / plain == pytest.approx(0.9577, abs=5e-4)


@pytest.mark.parametrize(("n", "effect"), [(3, 3.07), (10, 1.32), (20, 0.91)])
def test_detectable_effect_has_its_power(n: int, effect: float) -> None:
    result = statistics.detectable_effect(n, n, alpha=0.05, power=0.8)
    assert result == pytest.approx(effect, abs=0.01)
    # The power of that effect from the noncentral t distribution.
    df, shift = 2 * n - 2, result * np.sqrt(n / 2)
    critical = stats.t.ppf(0.975, df)
    power = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_false_positives_stay_at_alpha() -> None:
    rng = np.random.default_rng(0)
    rejected = [
        statistics.compare(*samples, tuple(samples), 0.05).welch_p < 0.05
        for samples in rng.normal(size=(2000, 2, 3))
    ]
    assert np.mean(rejected) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2000)


def test_one_constant_side_is_tested_without_a_warning() -> None:
    constant, other = np.full(3, 0.01), np.array([0.03, 0.05, 0.04])
    result = statistics.compare(constant, other, (constant, other), alpha=0.05)
    # With no spread on one side Welch's test is the one-sample test of the other.
    expected = stats.ttest_1samp(other, 0.01)
    assert result.welch_p == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.welch_df == pytest.approx(2)
