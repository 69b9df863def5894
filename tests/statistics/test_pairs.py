"""Hedges' g and the signed ranks of pairs, against enumeration, scipy and simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from flatreg import statistics


def signed_ranks_p(differences: np.ndarray) -> float:
    """Two-sided p of the signed ranks, by enumerating all signs; zeros are left out."""
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    center = ranks.sum() / 2
    seen = abs(ranks[kept > 0].sum() - center)
    sums = [np.dot(ranks, signs) for signs in product([0, 1], repeat=len(kept))]
    return float(np.mean([abs(total - center) >= seen - 1e-9 for total in sums]))


@pytest.mark.parametrize(
    "differences",
    [[1.0, 2.0, -3.0, 4.0, 5.0], [1.0, 1.0, -1.0, 2.0], [0.0, 0.0, 3.0, -1.0, 1.0, 2.0]],
)
def test_wilcoxon_is_exact_with_ties_and_zeros(differences: list[float]) -> None:
    sample = np.array(differences)
    assert statistics.wilcoxon_p(sample, 5.0) == pytest.approx(signed_ranks_p(sample))


def test_ties_of_accuracies_are_not_broken_by_rounding() -> None:
    # All differences are 0.1 or -0.1 up to rounding.
    treated = np.array([0.8, 0.9, 0.3, 0.4, 0.7])
    baseline = np.array([0.7, 0.8, 0.4, 0.3, 0.6])
    assert len(np.unique(np.abs(treated - baseline))) > 1
    expected = signed_ranks_p(np.array([1.0, 1, -1, 1, 1]))
    assert statistics.wilcoxon_p(treated - baseline, 0.9) == pytest.approx(expected)


def test_many_differences_are_tested_as_scipy_does() -> None:
    sample = np.random.default_rng(0).normal(0.2, 1.0, 80)
    assert statistics.wilcoxon_p(sample, 1.0) == pytest.approx(stats.wilcoxon(sample).pvalue)


def test_wilcoxon_of_no_difference_and_of_too_few() -> None:
    assert statistics.wilcoxon_p(np.zeros(4), 1.0) == 1
    assert np.isnan(statistics.wilcoxon_p(np.array([1.0]), 1.0))


def test_false_positives_of_signed_ranks_stay_at_alpha() -> None:
    samples = np.random.default_rng(1).normal(size=(2000, 5))
    share = np.mean([statistics.wilcoxon_p(sample, 1.0) < 0.1 for sample in samples])
    assert share < 0.1 + 4 * np.sqrt(0.1 * 0.9 / 2000)


@pytest.mark.parametrize(("correlation", "shift"), [(0.0, 1.0), (0.9, 1.0), (0.9, 0.0)])
def test_hedges_g_of_pairs_is_unbiased(correlation: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    common, own, others = rng.normal(size=(3, 6000, 6))
    mix = np.sqrt(correlation), np.sqrt(1 - correlation)
    treated = mix[0] * common + mix[1] * own + shift
    baseline = mix[0] * common + mix[1] * others
    effects = [statistics.hedges_g_paired(t, b) for t, b in zip(treated, baseline, strict=True)]
    assert np.mean(effects) == pytest.approx(shift, abs=4 * stats.sem(effects) + 0.01)


def test_hedges_g_needs_three_pairs_that_vary() -> None:
    assert np.isnan(statistics.hedges_g_paired(np.array([1.0, 2]), np.array([2.0, 4])))
    assert np.isnan(statistics.hedges_g_paired(np.ones(4), np.zeros(4)))
