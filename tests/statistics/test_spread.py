"""Two standard deviations: the F test against quantiles and simulation, Brown and Forsythe's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics

RNG = np.random.default_rng(0)
TREATED, BASELINE = RNG.normal(scale=3, size=9), RNG.normal(size=8)


def test_a_ratio_of_spreads_is_tested_by_both_tails_of_f() -> None:
    result = statistics.spread_margin_test(TREATED, BASELINE, 2.0, 0.05)
    ratio, f = np.var(TREATED, ddof=1) / np.var(BASELINE, ddof=1), stats.f(8, 7)
    assert result.estimate == pytest.approx(np.sqrt(ratio))
    assert (result.low, result.high) == pytest.approx(tuple(np.sqrt(ratio / f.ppf([0.975, 0.025]))))
    assert result.p_above == pytest.approx(f.sf(ratio / 4))
    assert result.p_not_above == pytest.approx(f.cdf(ratio / 4))
    assert result.p_below == pytest.approx(f.cdf(ratio * 4))
    assert result.p_not_below == pytest.approx(f.sf(ratio * 4))


def test_turned_over_it_is_the_same_test() -> None:
    one = statistics.spread_margin_test(TREATED, BASELINE, 2.0, 0.05)
    other = statistics.spread_margin_test(BASELINE, TREATED, 2.0, 0.05)
    assert (other.p_below, other.p_not_below) == pytest.approx((one.p_above, one.p_not_above))
    assert (other.low, other.high) == pytest.approx((1 / one.high, 1 / one.low))


def test_small_p_of_spreads_are_right() -> None:
    result = statistics.spread_margin_test(1e4 * np.arange(30), np.arange(30) % 2, 2.0, 0.05)
    ratio = np.var(1e4 * np.arange(30), ddof=1) / np.var(np.arange(30) % 2, ddof=1)
    assert 0 < result.p_above < 1e-40
    assert np.log(result.p_above) == pytest.approx(stats.f.logsf(ratio / 4, 29, 29))


@pytest.mark.parametrize(("ratio", "name"), [(2.0, "p_above"), (2.0, "p_within"), (0.5, "p_below")])
def test_false_spreads_stay_at_alpha(ratio: float, name: str) -> None:
    rng = np.random.default_rng(3)
    tests = [
        statistics.spread_margin_test(ratio * x, y, 2.0, 0.05)
        for x, y in zip(rng.normal(size=(4000, 10)), rng.normal(size=(4000, 12)), strict=True)
    ]
    share = np.mean([getattr(test, name) < 0.05 for test in tests])
    assert share == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))


@pytest.mark.parametrize("treated", [np.array([1.0]), np.ones(5)])
def test_a_side_without_spread_has_a_reason(treated: np.ndarray) -> None:
    result = statistics.spread_margin_test(treated, BASELINE, 2.0, 0.05)
    runs = len(treated)
    assert result.note == f"two spreads need two runs that vary on either side; runs: {runs}, 8"
    assert np.isnan([result.p_above, result.p_within, result.low]).all()


def test_a_margin_of_spreads_is_a_factor_above_1() -> None:
    with pytest.raises(ValueError, match="above 1"):
        statistics.spread_margin_test(TREATED, BASELINE, 1.0, 0.05)


def test_brown_and_forsythe_s_test_compares_deviations_from_the_median() -> None:
    deviations = (np.abs(sample - np.median(sample)) for sample in (TREATED, BASELINE))
    expected = stats.f_oneway(*deviations)
    assert statistics.brown_forsythe_p(TREATED, BASELINE) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("treated", "baseline"),
    [([1.0, 2.0], [1.0, 2.0, 3.0]), ([1.0] * 4, [2.0] * 4), ([1.0, 1, 3, 3], [2.0, 2, 5, 5])],
)
def test_spreads_that_do_not_vary_have_no_p(treated: list[float], baseline: list[float]) -> None:
    assert np.isnan(statistics.brown_forsythe_p(np.array(treated), np.array(baseline)))
