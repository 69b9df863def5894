"""Comparison of two standard deviations.

References:
    M. B. Brown, A. B. Forsythe. Robust tests for the equality of variances. 1974.
    doi:10.1080/01621459.1974.10482955.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from flatreg.statistics.bootstrap import bca_interval
from flatreg.statistics.samples import NAN, agree


class SpreadComparison(NamedTuple):
    """Two standard deviations: their ratio, its bootstrap interval, Brown and Forsythe's p."""

    ratio: float
    low: float
    high: float
    p: float
    note: str | None


def compare_spread(
    treated: np.ndarray, baseline: np.ndarray, alpha: float, rng: np.random.Generator
) -> SpreadComparison:
    """Ratio of the standard deviation of one sample [n] to that of another [m].

    The test is Brown and Forsythe's, Levene's with medians, which keeps its level for skewed values
    too. With three runs on each side it has almost no power, because one of the three deviations
    from a median is always 0.

    Args:
        treated: n from 0.
        baseline: m from 0.
        alpha: the interval is meant to cover 1 - alpha.
        rng: generator of the bootstrap.
    """
    if min(len(treated), len(baseline)) < 3:
        return SpreadComparison(*[NAN] * 4, "two spreads need three runs on either side")
    if agree(treated) and agree(baseline):
        return SpreadComparison(*[NAN] * 4, "all runs agree on either side: no spread to compare")
    p = _brown_forsythe_p(treated, baseline)
    if agree(treated) or agree(baseline):
        ratio = 0.0 if agree(treated) else NAN
        return SpreadComparison(ratio, NAN, NAN, p, "all runs agree on one side: no interval")
    # The errors of a ratio are about symmetric on the log scale, so the interval is made there.
    logs = bca_interval((treated, baseline), log_sd_ratio, alpha, rng)
    ratio, low, high = np.exp([logs.estimate, logs.low, logs.high])
    return SpreadComparison(float(ratio), float(low), float(high), p, logs.note)


def log_sd_ratio(treated: np.ndarray, baseline: np.ndarray, axis: int) -> np.ndarray:
    """Logarithm [...] of the ratio of the standard deviations of [..., n] and [..., m].

    0 if neither sample varies.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(standard_deviation(sample, axis)) for sample in (treated, baseline)]
        return np.where(np.isneginf(logs).all(axis=0), 0.0, logs[0] - logs[1])


def standard_deviation(sample: np.ndarray, axis: int) -> np.ndarray:
    """Standard deviation (n - 1) [...] of samples [..., n]."""
    return np.std(sample, ddof=1, axis=axis)


def _brown_forsythe_p(*samples: np.ndarray) -> float:
    """Two-sided p; NaN if on each side all values are equally far from the median."""
    if all(agree(np.abs(sample - np.median(sample))) for sample in samples):
        return NAN
    return float(stats.levene(*samples, center="median").pvalue)
