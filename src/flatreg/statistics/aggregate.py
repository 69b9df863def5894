"""One number over many data sets, from the runs of each.

Runs are resampled within their data set, so the intervals are about other seeds on the same data
sets, not about other data sets.

References:
    R. Agarwal et al. Deep reinforcement learning at the edge of the statistical precipice. 2021.
    arXiv:2108.13264.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from flatreg.statistics.bootstrap import RESAMPLES, Interval, Statistic, percentile_ends, resample
from flatreg.statistics.samples import NAN, agree


def interquartile_mean(
    scores: Sequence[np.ndarray], alpha: float, rng: np.random.Generator
) -> Interval:
    """Mean of the middle half of the pooled runs of all data sets, and its stratified interval.

    Args:
        scores: one array [n] per data set, each with its own n; in units that can be pooled.
        alpha: the percentile interval is meant to cover 1 - alpha.
        rng: generator of the bootstrap.
    """
    return _stratified(list(scores), pooled_interquartile_mean, alpha, rng)


def probability_of_improvement(
    treated: Sequence[np.ndarray],
    baseline: Sequence[np.ndarray],
    alpha: float,
    rng: np.random.Generator,
) -> Interval:
    """Probability that a treated run exceeds a baseline run, on a data set drawn at random.

    Ties count half. The interval is stratified by data set and side.

    Args:
        treated: one array [n] per data set, each with its own n.
        baseline: one array [m] per data set, in the same order.
        alpha: the percentile interval is meant to cover 1 - alpha.
        rng: generator of the bootstrap.
    """
    return _stratified([*treated, *baseline], mean_superiority, alpha, rng)


def pooled_interquartile_mean(*scores: np.ndarray, axis: int) -> np.ndarray:
    """Interquartile mean [...] of pooled samples [..., n], each with its own n; `axis` is -1."""
    return stats.trim_mean(np.concatenate(scores, axis=axis), 0.25, axis=axis)


def mean_superiority(*scores: np.ndarray, axis: int) -> np.ndarray:
    """Mean over data sets of `superiority` [...]; first all x [..., n], then all y [..., m]."""
    half = len(scores) // 2
    pairs = zip(scores[:half], scores[half:], strict=True)
    return np.mean([superiority(x, y) for x, y in pairs], axis=0)


def superiority(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(x > y) + P(x = y) / 2 [...] for one value of x [..., n] and one of y [..., m]."""
    # One run of x at a time: all pairs of many resamples do not fit into the processor's caches.
    runs, others = (np.moveaxis(side, -1, 0).copy() for side in (x, y))
    wins = sum(np.sum(run > others, axis=0) + np.sum(run >= others, axis=0) for run in runs)
    return wins / (2 * len(runs) * len(others))


def _stratified(
    samples: list[np.ndarray], statistic: Statistic, alpha: float, rng: np.random.Generator
) -> Interval:
    if not samples or min(map(len, samples)) == 0:
        return Interval(NAN, NAN, NAN, "a data set has no run with a value")
    estimate = float(statistic(*samples, axis=-1))
    if min(map(len, samples)) < 2:
        return Interval(estimate, NAN, NAN, "a data set has one run: no interval")
    if all(map(agree, samples)):
        return Interval(estimate, NAN, NAN, "all runs of a data set agree: no interval")
    low, high = percentile_ends(
        samples, statistic, alpha, resample(samples, statistic, rng, RESAMPLES)
    )
    return Interval(estimate, float(low), float(high), None)
