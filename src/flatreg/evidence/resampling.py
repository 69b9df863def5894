"""Bootstrap distributions of many simulated studies at once, by matrix products.

Studies of the same size share their resamples. A resample is a row of weights: how often it takes
each run. Each statistic here gives the values that its namesake of `flatreg.statistics` gives for
the resampled runs. Its arguments are one array of samples [studies, n] and one of weights
[resamples, n] per sample, and it returns [studies, resamples].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flatreg.statistics import aggregate, bootstrap, spread

Samples = Sequence[np.ndarray]


def distribution(
    samples: Samples, statistic: bootstrap.Statistic, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """The bootstrap distribution [studies, resamples] of a statistic of samples [studies, n].

    The resamples are those that `flatreg.statistics.bootstrap.resample` draws.

    Raises:
        KeyError: the statistic is not in `WEIGHTED`.
    """
    weights = [draw_weights(sample.shape[-1], resamples, rng) for sample in samples]
    values = WEIGHTED[statistic](samples, weights)
    # Rounding would move some of these off the sample's own value, but BCa counts ties.
    whole = np.all([np.all(weight == 1, axis=-1) for weight in weights], axis=0)
    if whole.any():
        values[:, whole] = statistic(*samples, axis=-1)[:, np.newaxis]
    return values


def draw_weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `n` runs is in each resample [resamples, n]."""
    places = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, np.newaxis]
    counts = np.bincount(places.ravel(), minlength=resamples * n)
    return counts.reshape(resamples, n).astype(float)


def mean(samples: Samples, weights: Samples) -> np.ndarray:
    """Mean of one sample."""
    (sample,), (weight,) = samples, weights
    return sample @ weight.T / sample.shape[-1]


def standard_deviation(samples: Samples, weights: Samples) -> np.ndarray:
    """Standard deviation (n - 1) of one sample; exactly 0 if a resample takes one run only."""
    (sample,), (weight,) = samples, weights
    n = sample.shape[-1]
    centred = sample - np.mean(sample, axis=-1, keepdims=True)
    squares = centred**2 @ weight.T - (centred @ weight.T) ** 2 / n
    squares[:, (weight == n).any(axis=-1)] = 0.0
    return np.sqrt(np.maximum(squares, 0.0) / (n - 1))


def log_sd_ratio(samples: Samples, weights: Samples) -> np.ndarray:
    """Logarithm of the ratio of two standard deviations; 0 if neither resample varies."""
    with np.errstate(divide="ignore", invalid="ignore"):
        treated, baseline = (
            np.log(standard_deviation([sample], [weight]))
            for sample, weight in zip(samples, weights, strict=True)
        )
        return np.where(np.isneginf(treated) & np.isneginf(baseline), 0.0, treated - baseline)


def mean_superiority(samples: Samples, weights: Samples) -> np.ndarray:
    """Mean over data sets of P(x > y) + P(x = y) / 2; first the samples of all x, then of all y."""
    sides = list(zip(samples, weights, strict=True))
    half = len(sides) // 2
    pairs = zip(sides[:half], sides[half:], strict=True)
    return np.mean([_superiority(*pair) for pair in pairs], axis=0)


def _superiority(x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """P(x > y) + P(x = y) / 2 [studies, resamples]; each side has runs and weights."""
    (runs, weights), (others, other_weights) = x, y
    studies, n = runs.shape
    # Sums of weights are whole and small, so float32 is exact.
    signs = np.sign(runs[:, :, np.newaxis] - others[:, np.newaxis, :]).astype(np.float32)
    rows = weights.astype(np.float32) @ signs.transpose(1, 0, 2).reshape(n, -1)
    sums = np.einsum(
        "rsm,rm->sr", rows.reshape(len(weights), studies, -1), other_weights.astype(np.float32)
    )
    pairs = n * others.shape[-1]
    return (pairs + sums.astype(float)) / (2 * pairs)


def pooled_interquartile_mean(samples: Samples, weights: Samples) -> np.ndarray:
    """Mean of the pooled resampled runs without a quarter of them on either side."""
    pooled, weight = np.concatenate(samples, axis=-1), np.concatenate(weights, axis=-1)
    ordered = np.sort(pooled, axis=-1)
    low = pooled.shape[-1] // 4
    high = pooled.shape[-1] - low
    # The rank that the resampled runs reach at each run but the largest, clipped to the middle.
    reached = pooled[:, :, np.newaxis] <= ordered[:, np.newaxis, :-1]
    ranks = np.clip(weight.astype(np.float32) @ reached.astype(np.float32), low, high)
    steps = np.diff(ordered, axis=-1)
    total = high * ordered[:, -1:] - low * ordered[:, :1] - np.einsum("srn,sn->sr", ranks, steps)
    return total / (high - low)


WEIGHTED: dict[bootstrap.Statistic, Callable[[Samples, Samples], np.ndarray]] = {
    np.mean: mean,
    spread.standard_deviation: standard_deviation,
    spread.log_sd_ratio: log_sd_ratio,
    aggregate.pooled_interquartile_mean: pooled_interquartile_mean,
    aggregate.mean_superiority: mean_superiority,
}
