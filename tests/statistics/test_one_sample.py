"""One-sample comparisons against hand calculation, enumeration and published figures."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics
from flatreg.statistics import one_sample

# Hours of sleep gained under two drugs (Cushny and Peebles 1905, cited by Student 1908).
FIRST = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SECOND = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def signed_ranks_p(differences: np.ndarray) -> float:
    """Two-sided p of the signed ranks, by enumerating all signs; zeros are left out."""
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    center = ranks.sum() / 2
    seen = abs(ranks[kept > 0].sum() - center)
    sums = [np.dot(ranks, signs) for signs in product([0, 1], repeat=len(kept))]
    return float(np.mean([abs(total - center) >= seen - 1e-9 for total in sums]))


def test_sleep_data_give_the_published_interval_and_the_exact_checks() -> None:
    result = statistics.compare_paired(SECOND, FIRST, alpha=0.05)
    assert result.estimate == pytest.approx(1.58)
    assert (result.low, result.high) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)
    assert (result.t, result.p) == pytest.approx((4.0621, 0.002833), abs=5e-5)
    # Nine differences above 0 and one equal to 0: both tests have their smallest possible p.
    assert result.wilcoxon_p == pytest.approx(2 / 2**9)
    assert result.sign_p == pytest.approx(2 / 2**9)
    assert result.note is None


@pytest.mark.parametrize(
    "differences",
    [[1.0, 2.0, -3.0, 4.0, 5.0], [1.0, 1.0, -1.0, 2.0], [0.0, 0.0, 3.0, -1.0, 1.0, 2.0], [1.0]],
)
def test_wilcoxon_is_exact_with_ties_and_zeros(differences: list[float]) -> None:
    sample = np.array(differences)
    assert one_sample.wilcoxon_p(sample) == pytest.approx(signed_ranks_p(sample))


def test_sign_test_by_hand() -> None:
    differences = np.array([1.0, 2, 3, 4, 5, 6, 7, -1, 0])
    assert one_sample.sign_test_p(differences) == pytest.approx(2 * (1 + 8) / 2**8)


def test_ties_of_accuracies_are_not_broken_by_rounding() -> None:
    # All differences are 0.1 or -0.1 up to rounding.
    treated = np.array([0.8, 0.9, 0.3, 0.4, 0.7])
    baseline = np.array([0.7, 0.8, 0.4, 0.3, 0.6])
    assert len(np.unique(np.abs(treated - baseline))) > 1
    result = statistics.compare_paired(treated, baseline, alpha=0.05)
    assert result.wilcoxon_p == pytest.approx(signed_ranks_p(np.array([1.0, 1, -1, 1, 1])))


@pytest.mark.parametrize(("correlation", "shift"), [(0.0, 1.0), (0.9, 1.0), (0.9, 0.0)])
def test_hedges_g_of_pairs_is_unbiased(correlation: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    common, own, others = rng.normal(size=(3, 6000, 6))
    mix = np.sqrt(correlation), np.sqrt(1 - correlation)
    treated = mix[0] * common + mix[1] * own + shift
    baseline = mix[0] * common + mix[1] * others
    effects = [statistics.hedges_g_paired(t, b) for t, b in zip(treated, baseline, strict=True)]
    assert np.mean(effects) == pytest.approx(shift, abs=4 * stats.sem(effects) + 0.01)


def test_hedges_g_of_a_mean_is_unbiased() -> None:
    samples = np.random.default_rng(0).normal(loc=1.5, size=(6000, 5))
    effects = [statistics.compare_mean(sample, 1.0, 0.05).hedges_g for sample in samples[:3000]]
    assert np.mean(effects) == pytest.approx(0.5, abs=4 * stats.sem(effects))


@pytest.mark.parametrize(
    ("treated", "baseline", "note"),
    [
        ([], [], "no seed has a value on both sides"),
        ([1.0], [2.0], "one difference has no spread"),
        ([1.0, 2.0], [1.0, 2.0], "all 2 differences are 0: no spread to test with"),
        ([0.1 + 0.2, 0.5], [0.3, 0.5], "all 2 differences are 0: no spread to test with"),
        ([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], "all 3 differences are equal: no spread to test with"),
    ],
)
def test_what_has_no_spread_has_a_reason_and_no_t(
    treated: list[float], baseline: list[float], note: str
) -> None:
    result = statistics.compare_paired(np.array(treated), np.array(baseline), alpha=0.05)
    assert result.note == note
    assert np.isnan([result.t, result.p, result.low, result.high]).all()


def test_checks_remain_where_all_differences_are_equal() -> None:
    sample = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    none = statistics.compare_paired(sample, sample, alpha=0.05)
    assert (none.wilcoxon_p, none.sign_p, none.hedges_g) == (1.0, 1.0, 0.0)
    shifted = statistics.compare_paired(sample + 1, sample, alpha=0.05)
    assert (shifted.wilcoxon_p, shifted.sign_p) == pytest.approx((2 / 2**6, 2 / 2**6))


def test_a_ratio_is_compared_by_its_logarithm() -> None:
    ratios = np.array([8.0, 16.0, 32.0])
    result = statistics.compare_ratio(ratios, reported=4.0, alpha=0.05)
    half = 4.30265273 / np.sqrt(3)  # t quantile, 2 degrees of freedom; the sd is one doubling
    assert result.estimate == pytest.approx(4.0)
    assert (result.low, result.high) == pytest.approx((4 * 2**-half, 4 * 2**half))
    assert result.t == pytest.approx(2 * np.sqrt(3))
    with pytest.raises(ValueError, match="above 0"):
        statistics.compare_ratio(np.array([1.0, 0.0]), reported=4.0, alpha=0.05)


def test_false_positives_of_pairs_stay_at_alpha() -> None:
    samples = np.random.default_rng(1).normal(size=(2000, 5))
    result = [statistics.compare_mean(sample, 0.0, 0.1) for sample in samples]
    bound = 0.1 + 4 * np.sqrt(0.1 * 0.9 / 2000)
    for name in ("p", "wilcoxon_p", "sign_p"):
        assert np.mean([getattr(one, name) < 0.1 for one in result]) < bound
    assert np.mean([one.p < 0.1 for one in result]) > 0.1 - 4 * np.sqrt(0.1 * 0.9 / 2000)
