"""Bootstrap intervals of any statistic.

References:
    B. Efron. Better bootstrap confidence intervals. 1987. doi:10.2307/2289144. (BCa.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
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
    values = resample(samples, statistic, rng, RESAMPLES)
    low, high, corrected = bca_ends(samples, statistic, alpha, values)
    if not np.isfinite([low, high]).all():
        note = "no interval: too many resamples have no finite value"
        return Interval(estimate, NAN, NAN, note)
    note = None if corrected else "percentiles: the correction (BCa) cannot be had"
    return Interval(estimate, float(low), float(high), note)


def resample(
    samples: Sequence[np.ndarray],
    statistic: Statistic,
    rng: np.random.Generator,
    resamples: int,
) -> np.ndarray:
    """The bootstrap distribution [..., resamples] of a statistic of samples [..., n]."""
    sizes = [sample.shape[-1] for sample in samples]
    drawn = [
        sample[..., rng.integers(0, n, (resamples, n))]
        for sample, n in zip(samples, sizes, strict=True)
    ]
    with np.errstate(all="ignore"):
        return statistic(*drawn, axis=-1)


def percentile_ends(
    samples: Sequence[np.ndarray], statistic: Statistic, alpha: float, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends [...] of the percentile intervals of a statistic of samples [..., n].

    Args:
        samples: see `resample`.
        statistic: see `Statistic`.
        alpha: the interval is meant to cover 1 - alpha.
        values: the bootstrap distribution, of `resample`.
    """
    return _ends(samples, statistic, alpha, values, "percentile")


def bca_ends(
    samples: Sequence[np.ndarray], statistic: Statistic, alpha: float, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends [...] of the BCa intervals of samples [..., n], and whether each is corrected [...].

    An interval without the correction is the percentile interval of the same resamples. The
    arguments are those of `percentile_ends`.
    """
    low, high = map(np.array, _ends(samples, statistic, alpha, values, "BCa"))
    corrected = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(values[~corrected], [alpha / 2, 1 - alpha / 2], axis=-1)
    low[~corrected], high[~corrected] = quantiles
    return low, high, corrected


def _ends(
    samples: Sequence[np.ndarray],
    statistic: Statistic,
    alpha: float,
    values: np.ndarray,
    method: str,
) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # A degenerate sample gives values that are not finite; the callers check for those.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            tuple(samples),
            statistic,
            n_resamples=0,
            bootstrap_result=SimpleNamespace(bootstrap_distribution=values),
            vectorized=True,
            axis=-1,
            confidence_level=1 - alpha,
            method=method,
        )
    return result.confidence_interval
