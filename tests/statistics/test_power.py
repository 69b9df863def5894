"""Power against simulation, the noncentral t and F distributions and published sample sizes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from flatreg import statistics
from flatreg.statistics import power
from flatreg.statistics.power import Design

DESIGNS = [
    (2, Design(sd=0.3, margin=1.0, alpha=0.05)),
    (3, Design(sd=0.3, margin=1.0, alpha=0.05)),
    (10, Design(sd=1.0, margin=1.0, alpha=0.005)),
    (20, Design(sd=1.0, margin=1.0, alpha=0.005, overlap=0.1)),
]


def simulated(n: int, effect: float, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends [100000] of one-sided intervals; see `flatreg.statistics.margin`.

    The values of overlapping splits share a part, which gives them the correlation that the
    corrected test assumes and the standard deviation `sd` within a study.
    """
    rng, rounds = np.random.default_rng(0), 100_000
    shared = rng.standard_normal((rounds, 1)) * np.sqrt(design.overlap)
    values = effect + design.sd * (shared + rng.standard_normal((rounds, n)))
    error = values.std(axis=1, ddof=1) * np.sqrt(1 / n + design.overlap)
    half = stats.t.isf(design.alpha, n - 1) * error
    return values.mean(axis=1) - half, values.mean(axis=1) + half


@pytest.mark.parametrize(("n", "design"), DESIGNS)
@pytest.mark.parametrize("effect", [0.0, 0.5, 2.0])
def test_power_is_the_share_of_rejections(n: int, design: Design, effect: float) -> None:
    low, high = simulated(n, effect, design)
    shares = {
        statistics.power_above: low > 1,
        statistics.power_not_above: high < 1,
        statistics.power_within: (low > -1) & (high < 1),
    }
    for power_of, rejected in shares.items():
        tolerance = 4 * np.sqrt(0.25 / len(rejected))
        assert power_of(n, effect, design) == pytest.approx(np.mean(rejected), abs=tolerance)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_one_sided_power_is_a_noncentral_t(n: int) -> None:
    design = Design(sd=2.0, margin=1.0, alpha=0.01, overlap=0.2)
    shift = (2.5 - 1) / (2 * np.sqrt(1 / n + 0.2))
    expected = stats.nct.sf(stats.t.isf(0.01, n - 1), n - 1, shift)
    assert statistics.power_above(n, 2.5, design) == pytest.approx(expected, abs=1e-8)
    assert statistics.power_not_above(n, -0.5, design) == pytest.approx(expected, abs=1e-8)


def test_power_at_the_margin_is_the_level() -> None:
    design = Design(sd=2.0, margin=1.0, alpha=0.01)
    assert statistics.power_above(4, 1.0, design) == pytest.approx(0.01)
    assert statistics.power_not_above(4, 1.0, design) == pytest.approx(0.01)


def test_large_power_within_is_that_of_both_sides() -> None:
    # The probability that both one-sided tests fail is negligible.
    design = Design(sd=1.0, margin=0.6, alpha=0.05)
    sides = [
        stats.nct.sf(stats.t.isf(0.05, 29), 29, (0.6 + sign * 0.1) * np.sqrt(30))
        for sign in (1, -1)
    ]
    result = statistics.power_within(30, 0.1, design)
    assert result == pytest.approx(sum(sides) - 1, abs=1e-6)


def test_the_seeds_needed_are_the_fewest() -> None:
    design = Design(sd=1.0, margin=0.3, alpha=0.05)
    n = statistics.seeds_needed(statistics.power_within, 0.0, design, power=0.9)
    # Lakens 2017, documentation of TOSTER: 121 by the normal approximation.
    assert n == pytest.approx(121, abs=2)
    assert statistics.power_within(n, 0.0, design) >= 0.9
    assert statistics.power_within(n - 1, 0.0, design) < 0.9


@pytest.mark.parametrize(
    ("power_of", "effect", "overlap"),
    [
        (statistics.power_above, 1.0, 0.0),
        (statistics.power_above, 0.5, 0.0),
        (statistics.power_within, 1.5, 0.0),
        # The standard error does not fall below half the margin.
        (statistics.power_within, 0.0, 0.25),
    ],
)
def test_what_no_number_of_seeds_can_show_needs_infinitely_many(
    power_of: object, effect: float, overlap: float
) -> None:
    design = Design(sd=1.0, margin=1.0, alpha=0.05, overlap=overlap)
    needed = statistics.seeds_needed(power_of, effect, design, power=0.9)
    assert needed == np.inf


@pytest.mark.parametrize("wrong", [{"sd": np.nan}, {"sd": 0.0}, {"margin": 0.0}, {"alpha": 1.0}])
def test_bad_designs_are_refused(wrong: dict[str, float]) -> None:
    design = Design(**{"sd": 1.0, "margin": 1.0, "alpha": 0.05} | wrong)
    with pytest.raises(ValueError, match="sd must be finite and > 0, margin > 0, alpha"):
        statistics.seeds_needed(statistics.power_within, 0.0, design, power=0.8)


@pytest.mark.parametrize(("n", "alpha"), [(2, 0.01), (3, 0.0005), (10, 0.005), (30, 0.0005)])
def test_the_detectable_effect_has_its_power(n: int, alpha: float) -> None:
    design = Design(sd=2.0, margin=1.0, alpha=alpha)
    effect = statistics.detectable(n, design, power=0.8)
    shift = (effect - 1) / (2 / np.sqrt(n))
    beyond = stats.nct.sf(stats.t.isf(alpha, n - 1), n - 1, shift)
    assert beyond == pytest.approx(0.8, abs=1e-6)


def test_one_value_has_no_power() -> None:
    design = Design(sd=1.0, margin=1.0, alpha=0.05)
    for power_of in (statistics.power_above, statistics.power_not_above, statistics.power_within):
        assert np.isnan(power_of(1, 0.0, design))
    assert np.isnan(statistics.detectable(1, design, 0.8))
    assert np.isnan(statistics.spread_power(1, 5, 2.0, 1.5, 0.05))


def test_a_detectable_difference_is_statsmodels_s() -> None:
    expected = TTestIndPower().solve_power(nobs1=5, ratio=2.0, alpha=0.05, power=0.8)
    assert statistics.detectable_effect(5, 10, 0.05, 0.8) == pytest.approx(expected)
    assert np.isnan(statistics.detectable_effect(1, 10, 0.05, 0.8))


@pytest.mark.parametrize("ratio", [1.5, 2.0, 4.0])
def test_the_power_of_an_f_test_is_the_share_of_rejections(ratio: float) -> None:
    rng = np.random.default_rng(1)
    variances = rng.chisquare(9, 200_000) / 9 * ratio**2, rng.chisquare(14, 200_000) / 14
    p = stats.f.sf(variances[0] / variances[1] / 1.5**2, 9, 14)
    result = statistics.spread_power(10, 15, ratio, 1.5, 0.025)
    assert result == pytest.approx(np.mean(p < 0.025), abs=4 * np.sqrt(0.25 / 200_000))


@pytest.mark.parametrize("df", [1, 4, 99])
def test_the_spread_s_density_is_scipy_s(df: int) -> None:
    for x in (1e-6, 0.5, np.sqrt(df), 3 * np.sqrt(df)):
        assert power._chi_density(x, df) == pytest.approx(stats.chi.pdf(x, df), rel=1e-12)
