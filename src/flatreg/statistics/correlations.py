r"""The mean of correlations, one per seed: its interval, and tests against 0 and a margin.

It is tested by Fisher's z of the mean, whose standard error follows from that of the mean by the
delta method,

    T = (artanh(mean) - artanh(m)) (1 - mean^2) / se,    n - 1 degrees of freedom

so the interval stays inside [-1, 1], and p and interval agree. In simulations with ten seeds and
five lambdas, a true mean at the end of the margin is called larger up to 2.5 times as often as the
level says (by the t test of the mean itself: up to ten times), and smaller less often.

If all seeds have the same correlation there is no spread. Each p is then that of a sign test of the
median seed: 2^-n if all seeds are on that side of the margin's end, else 1.

References:
    R. A. Fisher. On the "probable error" of a coefficient of correlation deduced from a small
    sample. 1921. Metron 1, 3-32. (The transformation z = artanh r.)
    C. Nadeau, Y. Bengio. Inference for the generalization error. 2003. doi:10.1023/A:1024068626366.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from flatreg.statistics.margin import MarginTest, describe, standard_error, tested, too_few
from flatreg.statistics.samples import NAN, agree

# The largest correlation whose z is used; 1 has none.
NEAR_ONE = 1 - 1e-12


class MeanCorrelation(NamedTuple):
    """A mean of correlations, its interval, and the two-sided p of no correlation."""

    n: int
    estimate: float
    low: float
    high: float
    p: float
    note: str | None


def mean_correlation(values: np.ndarray, alpha: float) -> MeanCorrelation:
    """Mean of correlations [n], n from 0, with its 1 - alpha interval and its p against 0.

    Args:
        values: as in `correlation_margin_test`.
        alpha: the interval covers 1 - alpha.
    """
    n = len(values)
    if n < 2:
        mean = float(values[0]) if n else NAN
        note = "one value has no spread" if n else "no seed has a value"
        return MeanCorrelation(n, mean, NAN, NAN, NAN, note)
    if agree(values, 1.0):
        mean = float(np.mean(values))
        return MeanCorrelation(n, mean, NAN, NAN, NAN, f"all {n} seeds have the same correlation")
    mean, z, error = _fisher(describe(values), 0.0)
    half = -special.stdtrit(n - 1, alpha / 2) * error
    low, high = np.tanh([z - half, z + half])
    p = float(2 * special.stdtr(n - 1, -abs(z) / error))
    return MeanCorrelation(n, mean, float(low), float(high), p, None)


def correlation_margin_test(
    values: np.ndarray, margin: float, alpha: float, *, overlap: float = 0.0
) -> MarginTest:
    """Test the mean of correlations [n], n from 0, against a margin around 0.

    Args:
        values: one correlation per seed, or one jackknife pseudo-value of a correlation. A mean
            beyond 1, which pseudo-values can have, counts as 1.
        margin: between 0 and 1.
        alpha: the interval covers 1 - alpha.
        overlap: as in `margin_test`.

    Raises:
        ValueError: the margin is not between 0 and 1.
    """
    if margin >= 1:
        raise ValueError("the margin of a correlation must be below 1")
    few = too_few(values, margin)
    if few is not None:
        return few
    summary = describe(values)
    if agree(values, 1.0):
        return _by_signs(summary._replace(sd=0.0), margin)
    mean, z, error = _fisher(summary, overlap)
    test = tested(summary._replace(estimate=z), float(np.arctanh(margin)), alpha, error)
    low, high = np.tanh([test.low, test.high])
    return test._replace(estimate=mean, low=float(low), high=float(high))


def _fisher(summary: MarginTest, overlap: float) -> tuple[float, float, float]:
    """The mean inside (-1, 1), its z, and the standard error of that."""
    mean = float(np.clip(summary.estimate, -NEAR_ONE, NEAR_ONE))
    error = standard_error(summary.sd, summary.n, overlap) / (1 - mean**2)
    return mean, float(np.arctanh(mean)), error


def _by_signs(summary: MarginTest, margin: float) -> MarginTest:
    """With sign tests, for correlations that are all equal."""
    every = 0.5**summary.n
    above, below = summary.estimate > margin, summary.estimate < -margin
    not_above, not_below = summary.estimate < margin, summary.estimate > -margin
    return summary._replace(
        p_above=every if above else 1.0,
        p_not_above=every if not_above else 1.0,
        p_below=every if below else 1.0,
        p_not_below=every if not_below else 1.0,
        note=f"all {summary.n} seeds have the same correlation: tested by signs",
    )
