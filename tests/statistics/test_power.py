"""Power against simulation, the noncentral t distribution and published sample sizes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from flatreg import statistics
from flatreg.statistics import power


@pytest.mark.parametrize(
    ("n", "sd", "alpha"), [(2, 0.1, 0.05), (3, 0.3, 0.05), (10, 1.0, 0.05), (20, 1.0, 0.005)]
)
def test_equivalence_power_is_the_share_of_rejections(n: int, sd: float, alpha: float) -> None:
    samples = np.random.default_rng(0).normal(scale=sd, size=(100_000, n))
    means, sds = samples.mean(axis=1), samples.std(axis=1, ddof=1)
    half = stats.t.isf(alpha, n - 1) * sds / np.sqrt(n)
    share = np.mean(np.abs(means) + half < 1)
    result = statistics.equivalence_power(n, sd, margin=1.0, alpha=alpha)
    assert result == pytest.approx(share, abs=4 * np.sqrt(0.25 / 100_000))


def test_large_equivalence_power_is_that_of_both_sides() -> None:
    # The probability that both one-sided tests fail is negligible.
    n, reach = 30, 0.6 * np.sqrt(30)
    one_side = stats.nct.sf(stats.t.isf(0.05, n - 1), n - 1, reach)
    result = statistics.equivalence_power(n, sd=1.0, margin=0.6, alpha=0.05)
    assert result == pytest.approx(2 * one_side - 1, abs=1e-8)


def test_proposed_runs_are_the_fewest() -> None:
    n = statistics.propose_runs(sd=1.0, margin=0.3, alpha=0.05, power=0.9)
    # Lakens 2017, documentation of TOSTER: 121 by the normal approximation.
    assert n == pytest.approx(121, abs=2)
    assert statistics.equivalence_power(n, 1.0, 0.3, 0.05) >= 0.9
    assert statistics.equivalence_power(n - 1, 1.0, 0.3, 0.05) < 0.9


def test_without_spread_five_equal_runs_are_needed() -> None:
    assert statistics.propose_runs(sd=0.0, margin=1.0, alpha=0.05, power=0.8) == 5
    for n in (4, 5):
        sample = np.zeros(n)
        rejects = statistics.equivalence_of_mean(sample, 0.0, 1.0, alpha=0.05).p <= 0.05
        assert statistics.equivalence_power(n, 0.0, 1.0, 0.05) == rejects


@pytest.mark.parametrize("wrong", [{"sd": np.nan}, {"margin": 0.0}, {"power": 1.0}])
def test_runs_are_not_proposed_for_what_none_can_show(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sd must be finite and >= 0, margin > 0, alpha"):
        statistics.propose_runs(**{"sd": 1.0, "margin": 1.0, "alpha": 0.05, "power": 0.8} | wrong)


@pytest.mark.parametrize(("n", "alpha"), [(3, 0.05), (10, 0.005), (10, 0.05), (30, 0.0005)])
def test_detectable_mean_is_statsmodels_where_that_converges(n: int, alpha: float) -> None:
    expected = TTestPower().solve_power(nobs=n, alpha=alpha, power=0.8, alternative="two-sided")
    assert statistics.detectable_mean(n, 2.0, alpha, 0.8) == pytest.approx(2 * expected, rel=1e-5)


def test_detectable_mean_has_its_power_where_statsmodels_fails() -> None:
    n, alpha = 3, 0.0005
    result = statistics.detectable_mean(n, 1.0, alpha, 0.8)
    critical, shift = stats.t.isf(alpha / 2, n - 1), result * np.sqrt(n)
    beyond = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert beyond == pytest.approx(0.8, abs=1e-6)
    assert np.isnan(statistics.detectable_mean(1, 1.0, alpha, 0.8))


def test_power_without_an_effect_is_the_level() -> None:
    assert power.mean_power(4, 0.0, 0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("df", [1, 4, 99])
def test_the_spread_s_density_is_scipy_s(df: int) -> None:
    for x in (1e-6, 0.5, np.sqrt(df), 3 * np.sqrt(df)):
        assert power._chi_density(x, df) == pytest.approx(stats.chi.pdf(x, df), rel=1e-12)
