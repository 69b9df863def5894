"""The bootstrap of many studies at once against that of `flatreg.statistics`, run by run."""

from __future__ import annotations

import numpy as np
import pytest

from flatreg.evidence import resampling
from flatreg.statistics import aggregate, bootstrap, spread

# Each statistic, and how many samples it takes.
STATISTICS = [
    (np.mean, 1),
    (spread.standard_deviation, 1),
    (spread.log_sd_ratio, 2),
    (aggregate.pooled_interquartile_mean, 2),
    (aggregate.mean_superiority, 4),
]


def both(
    statistic: bootstrap.Statistic, samples: list[np.ndarray], resamples: int
) -> tuple[np.ndarray, np.ndarray]:
    """The bootstrap distribution by weights, and by drawing runs."""
    weighted = resampling.distribution(samples, statistic, resamples, np.random.default_rng(1))
    drawn = bootstrap.resample(samples, statistic, np.random.default_rng(1), resamples)
    return weighted, drawn


@pytest.mark.parametrize("n", [3, 5, 20])
@pytest.mark.parametrize(("statistic", "count"), STATISTICS)
def test_weights_give_the_values_of_the_resampled_runs(
    statistic: bootstrap.Statistic, count: int, n: int
) -> None:
    # Whole numbers, since a run drawn n times must have no spread: not even that of rounding.
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, 1000 * (i + 1), (7, n)).astype(float) for i in range(count)]
    weighted, drawn = both(statistic, samples, 400)
    assert weighted.shape == (7, 400)
    np.testing.assert_allclose(weighted, drawn, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("statistic", "count"), [(aggregate.mean_superiority, 4)])
def test_shares_of_pairs_are_the_same_to_the_bit_with_ties_too(
    statistic: bootstrap.Statistic, count: int
) -> None:
    samples = [np.random.default_rng(i).integers(0, 3, (4, 6)).astype(float) for i in range(count)]
    np.testing.assert_array_equal(*both(statistic, samples, 300))


@pytest.mark.parametrize(("statistic", "count"), STATISTICS)
def test_a_resample_of_every_run_ties_with_the_sample(
    statistic: bootstrap.Statistic, count: int
) -> None:
    rng = np.random.default_rng(2)
    samples = [rng.normal(size=(5, 2)) for _ in range(count)]
    weighted, drawn = both(statistic, samples, 500)
    own = statistic(*samples, axis=-1)[:, np.newaxis]
    whole = np.isclose(drawn, own, rtol=1e-12).all(axis=0)
    assert whole.any()
    assert (weighted[:, whole] == own).all()
