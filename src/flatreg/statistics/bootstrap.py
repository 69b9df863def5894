"""Bootstrap intervals of any statistic.

References:
    B. Efron. Better bootstrap confidence intervals. 1987. doi:10.2307/2289144. (BCa.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from flatreg.statistics.samples import NAN, agree

RESAMPLES = 9999
# Takes samples [..., n] as arguments and the keyword `axis`; returns the statistic [...].
Statistic = Callable[..., np.ndarray]


class Interval(NamedTuple):
    """An estimate and its interval."""

    estimate: float
    low: float
    high: float
    note: str | None


def bca_interval(
    samples: Sequence[np.ndarray],
    statistic: Statistic,
    alpha: float,
    rng: np.random.Generator,
) -> Interval:
    """BCa interval of a statistic of one or more samples, each resampled on its own.

    If the correction cannot be computed, the interval is the percentile interval; if no sample
    varies, there is none. The note says so in both cases.

    Args:
        samples: arrays [n], each with its own n, from 0.
        statistic: see `Statistic`; it is called with leading axes.
        alpha: the interval is meant to cover 1 - alpha; `flatreg.evidence.calibration` measures
            how far it does with few runs.
        rng: generator of the resamples.
    """
    if min(map(len, samples)) == 0:
        return Interval(NAN, NAN, NAN, "no run has a value")
    with np.errstate(all="ignore"):
        estimate = float(statistic(*samples, axis=-1))
    if min(map(len, samples)) < 2:
        return Interval(estimate, NAN, NAN, "one run has no spread")
    if all(map(agree, samples)):
        return Interval(estimate, NAN, NAN, "all runs agree: no interval")
    low, high, corrected = map(np.asarray, bca_ends(samples, statistic, alpha, rng, RESAMPLES))
    if not np.isfinite([low, high]).all():
        note = "no interval: too many resamples have no finite value"
        return Interval(estimate, NAN, NAN, note)
    note = None if corrected else "percentiles: the correction (BCa) cannot be had"
    return Interval(estimate, float(low), float(high), note)


def percentile_ends(
    samples: Sequence[np.ndarray],
    statistic: Statistic,
    alpha: float,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends [...] of the percentile intervals of a statistic of samples [..., n]."""
    low, high, _ = _bootstrap(samples, statistic, alpha, rng, resamples, "percentile")
    return low, high


def bca_ends(
    samples: Sequence[np.ndarray],
    statistic: Statistic,
    alpha: float,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends [...] of the BCa intervals of samples [..., n], and whether each is corrected [...].

    An interval without the correction is the percentile interval of the same resamples.
    """
    low, high, values = _bootstrap(samples, statistic, alpha, rng, resamples, "BCa")
    corrected = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        lower, upper = np.quantile(values, [alpha / 2, 1 - alpha / 2], axis=-1)
    return np.where(corrected, low, lower), np.where(corrected, high, upper), corrected


def _bootstrap(
    samples: Sequence[np.ndarray],
    statistic: Statistic,
    alpha: float,
    rng: np.random.Generator,
    resamples: int,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends [...] of the intervals and the bootstrap distribution [..., resamples]."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # A degenerate sample gives values that are not finite; the callers check for those.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            tuple(samples),
            statistic,
            n_resamples=resamples,
            vectorized=True,
            axis=-1,
            confidence_level=1 - alpha,
            method=method,
            rng=rng,
        )
    return *result.confidence_interval, result.bootstrap_distribution
