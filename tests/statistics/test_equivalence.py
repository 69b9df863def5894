"""Equivalence tests against scipy's one-sided tests, hand calculation and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from flatreg import statistics
from flatreg.statistics import equivalence

RNG = np.random.default_rng(0)
TREATED, BASELINE = RNG.normal(size=8), RNG.normal(scale=2, size=8)


def test_pairs_are_two_one_sided_t_tests() -> None:
    result = statistics.equivalence_paired(TREATED, BASELINE, margin=1.5, alpha=0.05)
    low = stats.ttest_rel(TREATED + 1.5, BASELINE, alternative="greater").pvalue
    high = stats.ttest_rel(TREATED - 1.5, BASELINE, alternative="less").pvalue
    assert (result.p_low, result.p_high, result.p) == pytest.approx((low, high, max(low, high)))
    interval = stats.ttest_rel(TREATED, BASELINE).confidence_interval(0.9)
    assert (result.low, result.high) == pytest.approx(tuple(interval))


def test_unpaired_samples_are_two_one_sided_welch_tests() -> None:
    baseline = BASELINE[:5]
    result = statistics.equivalence_welch(TREATED, baseline, margin=1.5, alpha=0.05)
    tests = {"greater": TREATED + 1.5, "less": TREATED - 1.5}
    low, high = (
        stats.ttest_ind(moved, baseline, equal_var=False, alternative=side).pvalue
        for side, moved in tests.items()
    )
    assert (result.p_low, result.p_high, result.p) == pytest.approx((low, high, max(low, high)))
    interval = stats.ttest_ind(TREATED, baseline, equal_var=False).confidence_interval(0.9)
    assert (result.low, result.high) == pytest.approx(tuple(interval))


def test_one_constant_side_is_a_test_of_the_other() -> None:
    constant = np.full(6, 0.3)
    welch = statistics.equivalence_welch(TREATED, constant, margin=1.0, alpha=0.05)
    mean = statistics.equivalence_of_mean(TREATED, 0.3, margin=1.0, alpha=0.05)
    assert welch.p == pytest.approx(mean.p)
    assert (welch.low, welch.high) == pytest.approx((mean.low, mean.high))


def test_it_rejects_where_the_interval_is_inside_the_margin() -> None:
    samples = np.random.default_rng(2).normal(loc=0.2, size=(200, 6))
    result = [statistics.equivalence_of_mean(s, 0.0, margin=1.0, alpha=0.05) for s in samples]
    inside = [max(-one.low, one.high) < 1 for one in result]
    assert [one.p < 0.05 for one in result] == inside
    assert 0 < sum(inside) < 200


def test_a_ratio_has_a_factor_for_a_margin() -> None:
    ratios = np.array([9.0, 11.0, 10.0, 12.0])
    result = statistics.equivalence_of_ratio(ratios, reported=10.0, margin=1.5, alpha=0.05)
    logs = np.log(ratios / 10)
    expected = statistics.equivalence_of_mean(logs, 0.0, margin=np.log(1.5), alpha=0.05)
    assert result.p == pytest.approx(expected.p)
    assert np.log([result.estimate, result.low, result.high]) == pytest.approx(expected[1:4])


@pytest.mark.parametrize("test", [statistics.equivalence_paired, statistics.equivalence_welch])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_equal_differences_are_tested_by_signs(test: object, n: int) -> None:
    treated, baseline = np.full(n, 0.83), np.full(n, 0.82)
    result = test(treated, baseline, margin=0.02, alpha=0.05)
    assert result.p == result.sign_p == pytest.approx(0.5**n)
    assert np.isnan([result.low, result.high]).all()
    # Clopper and Pearson's one-sided upper bound for 0 of n seeds beyond the margin.
    bound = proportion_confint(0, n, alpha=0.1, method="beta")[1]
    assert f"at most {bound:.0%} of seeds" in result.note


@pytest.mark.parametrize("difference", [0.02, 0.03, -0.02])
def test_equal_differences_at_or_beyond_the_margin_are_not_equivalent(difference: float) -> None:
    baseline = np.array([0.81, 0.85, 0.83, 0.84, 0.8])
    result = statistics.equivalence_paired(baseline + difference, baseline, 0.02, alpha=0.05)
    assert result.p == 1
    assert result.note == "all 5 differences are equal: no spread, so tested by signs"


def test_sign_equivalence_by_hand() -> None:
    differences = np.array([0.5, -0.5, 0.2, 1.0, -3.0])
    # Four of five are above -1; four of five are below 1, which 1.0 is not.
    p_low, p_high = equivalence.sign_equivalence(differences, margin=1.0)
    assert (p_low, p_high) == pytest.approx(((1 + 5) / 32, (1 + 5) / 32))


@pytest.mark.parametrize("name", ["p", "sign_p"])
@pytest.mark.parametrize("mean", [1.0, -1.0])
def test_false_equivalence_stays_at_alpha(name: str, mean: float) -> None:
    samples = np.random.default_rng(3).normal(loc=mean, scale=0.3, size=(2000, 6))
    result = [statistics.equivalence_of_mean(s, 0.0, margin=1.0, alpha=0.05) for s in samples]
    rate = np.mean([getattr(one, name) < 0.05 for one in result])
    assert rate < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2000)
    assert rate > 0


@pytest.mark.parametrize(
    ("n", "note"),
    [(0, "no seed has a value on both sides"), (1, "one difference has no spread")],
)
def test_too_few_pairs_have_a_reason(n: int, note: str) -> None:
    result = statistics.equivalence_paired(TREATED[:n], BASELINE[:n], margin=1.0, alpha=0.05)
    assert result.note == note
    assert np.isnan([result.p, result.sign_p]).all()


def test_a_margin_must_leave_room() -> None:
    with pytest.raises(ValueError, match="margin"):
        statistics.equivalence_paired(TREATED, BASELINE, margin=0.0, alpha=0.05)
    with pytest.raises(ValueError, match="margin"):
        statistics.equivalence_of_ratio(np.array([1.0, 2.0]), 1.0, margin=1.0, alpha=0.05)
