"""One sample: its summary, and whether it varies at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

NAN = float("nan")
# Smaller relative differences come from the rounding of float64 sums.
ROUNDING_DECIMALS = 12
ROUNDING = 10.0**-ROUNDING_DECIMALS


class Summary(NamedTuple):
    """A sample: mean, standard deviation (n - 1) and t interval of the mean."""

    n: int
    mean: float
    sd: float
    low: float
    high: float
    minimum: float
    maximum: float
    note: str | None


def summarize(sample: np.ndarray, alpha: float) -> Summary:
    """Mean, standard deviation and 1 - alpha interval of a sample [n], n from 0."""
    n = len(sample)
    if n == 0:
        return Summary(0, NAN, NAN, NAN, NAN, NAN, NAN, "no run has a value")
    mean, ends = float(np.mean(sample)), (float(np.min(sample)), float(np.max(sample)))
    if n == 1:
        return Summary(1, mean, NAN, NAN, NAN, *ends, "one run has no spread")
    if agree(sample):
        return Summary(n, mean, 0.0, NAN, NAN, *ends, "all runs agree: no interval")
    sd = float(np.std(sample, ddof=1))
    low, high = stats.t.interval(1 - alpha, n - 1, loc=mean, scale=sd / np.sqrt(n))
    return Summary(n, mean, sd, float(low), float(high), *ends, None)


def agree(sample: np.ndarray, scale: float = 0.0) -> bool:
    """Whether all values of a sample [n] are equal up to rounding.

    Args:
        sample: n from 0.
        scale: largest magnitude of the numbers that the values were computed from. Differences
            carry the rounding error of the numbers subtracted, which may be far larger than they.
    """
    if len(sample) == 0:
        return True
    return bool(np.ptp(sample) <= ROUNDING * max(scale, float(np.max(np.abs(sample)))))
