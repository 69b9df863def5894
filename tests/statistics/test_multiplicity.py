"""Adjustments for many tests, by hand, against enumeration and in simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import special
from statsmodels.stats.multitest import multipletests

from flatreg import statistics


def test_holm_is_statsmodels_without_the_missing() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    adjusted = statistics.holm(p)
    assert np.isnan(adjusted[1])
    expected = multipletests(p[~np.isnan(p)], method="holm")[1]
    assert adjusted[~np.isnan(p)] == pytest.approx(expected)


def test_shaffer_is_the_closed_test_over_logically_possible_sets() -> None:
    """A null is rejected by the closed test if every possible set of true nulls with it is."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(0, 1, (3, 3)) ** 4
        p[np.arange(3), rng.integers(0, 3, 3)] = 0.9  # one null of each question is never rejected
        adjusted = statistics.shaffer(p)
        for question, null in product(range(3), range(3)):
            possible = [which for which in product(range(3), repeat=3) if which[question] == null]
            bonferroni = [3 * min(p[k, i] for k, i in enumerate(which)) for which in possible]
            assert adjusted[question, null] == pytest.approx(min(1.0, max(bonferroni)))


def test_shaffer_counts_what_could_not_be_tested() -> None:
    p = np.array([[0.01, 0.2, np.nan], [np.nan] * 3, [0.002, 0.7, 0.9]])
    expected = np.array([[0.03, 0.6, np.nan], [np.nan] * 3, [0.006, 1.0, 1.0]])
    np.testing.assert_allclose(statistics.shaffer(p), expected)


def test_shaffer_rejects_all_that_holm_rejects_of_the_same_nulls() -> None:
    rng = np.random.default_rng(1)
    for effects in rng.uniform(-3, 3, (100, 6)):
        p = np.array(
            [statistics.margin_test(rng.normal(mu, 1, 10), 1.0, 0.05).nulls() for mu in effects]
        )
        holm = statistics.holm(p.ravel()).reshape(p.shape)
        assert np.all(statistics.shaffer(p) <= holm + 1e-15)


@pytest.mark.parametrize("correlated", [False, True])
def test_false_rejections_of_a_family_are_rarer_than_alpha(correlated: bool) -> None:
    """All effects just inside or just outside a margin, where errors are most likely."""
    rounds, questions, n, margin = 4000, 6, 10, 1.0
    rng = np.random.default_rng(2)
    truths = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    noise = rng.standard_normal((rounds, questions, n))
    if correlated:
        noise = np.sqrt(0.5) * (noise + rng.standard_normal((rounds, 1, n)))
    values = truths[:, np.newaxis] + noise
    error = values.std(axis=2, ddof=1) / np.sqrt(n)
    upper, lower = (values.mean(axis=2) - margin) / error, (values.mean(axis=2) + margin) / error
    above, not_above, below, not_below = (
        special.stdtr(n - 1, t) for t in (-upper, upper, lower, -lower)
    )
    nulls = 2 * np.stack([not_below, np.minimum(above, below), not_above], axis=-1)
    for inside in (True, False):
        true = np.where(inside, 1, np.where(truths > 0, 2, 0))
        of_true = np.take_along_axis(nulls, true[np.newaxis, :, np.newaxis], axis=2)[..., 0]
        wrong = np.mean((questions * of_true < 0.05).any(axis=1))
        assert wrong < 0.05
