"""One sample against a number: differences over shared seeds, and ratios against a reported one.

What the t-test says is checked by two tests that assume less: Wilcoxon's signed ranks (the
differences are symmetric) and the sign test (nothing but a median). Where all differences are 0
these have p = 1, as every assignment of signs gives what was seen, and the t-test has none.

References:
    G. Cumming. Understanding the new statistics. 2012. (The average of both variances as the
    standardizer of paired differences.)
    D. Cousineau. Approximating the distribution of Cohen's d_p in within-subject designs. 2020.
    doi:10.20982/tqmp.16.4.p418. (Its degrees of freedom.)
    L. V. Hedges. Distribution theory for Glass's estimator of effect size. 1981.
    doi:10.3102/10769986006002107.
    F. Wilcoxon. Individual comparisons by ranking methods. 1945. doi:10.2307/3001968.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from flatreg.statistics.samples import NAN, ROUNDING_DECIMALS, agree
from flatreg.statistics.two_samples import bias_correction


class MeanComparison(NamedTuple):
    """A mean against a number: the estimate, its t interval and what the tests say of it."""

    n: int
    estimate: float
    low: float
    high: float
    sd: float
    t: float
    p: float
    hedges_g: float
    wilcoxon_p: float
    sign_p: float
    note: str | None


def compare_mean(sample: np.ndarray, expected: float, alpha: float) -> MeanComparison:
    """A sample [n] against an expected mean, n from 0.

    Returns:
        The mean minus `expected` with its 1 - alpha interval; Hedges' g is in standard deviations
        of the sample.
    """
    done = _compare(sample - expected, _size(sample, expected), alpha)
    if np.isnan(done.t) or done.n < 3:
        return done
    return done._replace(hedges_g=bias_correction(done.n - 1) * done.estimate / done.sd)


def compare_paired(treated: np.ndarray, baseline: np.ndarray, alpha: float) -> MeanComparison:
    """Two samples [n] over the same seeds, in the same order, n from 0.

    Returns:
        The mean difference with its 1 - alpha interval, and the standard deviation of the
        differences. Hedges' g is in standard deviations over seeds, not of differences: the root
        of both sides' mean variance, so that it can be read beside an unpaired g.
    """
    done = _compare(treated - baseline, _size(treated, *baseline), alpha)
    return done._replace(hedges_g=hedges_g_paired(treated, baseline))


def compare_ratio(ratios: np.ndarray, reported: float, alpha: float) -> MeanComparison:
    """Ratios [n] against a reported one, by their logarithms, n from 0.

    Returns:
        The geometric mean of the ratios over `reported`, and the interval of that; the standard
        deviation is of the logarithms, and so is Hedges' g.

    Raises:
        ValueError: a ratio is not above 0.
    """
    done = compare_mean(log_ratios(ratios, reported), 0.0, alpha)
    estimate, low, high = np.exp([done.estimate, done.low, done.high])
    return done._replace(estimate=float(estimate), low=float(low), high=float(high))


def log_ratios(ratios: np.ndarray, reported: float) -> np.ndarray:
    """Logarithms [n] of ratios [n] over a reported one.

    Raises:
        ValueError: a ratio is not above 0.
    """
    if reported <= 0 or (np.asarray(ratios) <= 0).any():
        raise ValueError("a ratio is above 0")
    return np.log(ratios) - np.log(reported)


def hedges_g_paired(treated: np.ndarray, baseline: np.ndarray) -> float:
    """Mean difference of pairs [n] in the root of both sides' mean variance, less its bias.

    That variance is half the trace of the 2 x 2 covariance C; its degrees of freedom are
    (n - 1) tr(C)^2 / tr(C^2): from n - 1, both sides being one up to a shift, to 2 (n - 1), both
    being independent. NaN for fewer than three pairs and where neither side varies.
    """
    if len(treated) < 3 or (agree(treated) and agree(baseline)):
        return NAN
    covariance = np.cov(treated, baseline)
    trace = np.trace(covariance)
    df = (len(treated) - 1) * trace**2 / np.sum(covariance**2)
    return float(bias_correction(df) * np.mean(treated - baseline) / np.sqrt(trace / 2))


def sign_test_p(differences: np.ndarray) -> float:
    """Two-sided p of the exact sign test that the median is 0; zeros are left out."""
    above, below = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    if above + below == 0:
        return 1.0
    return float(stats.binomtest(above, above + below, 0.5).pvalue)


def wilcoxon_p(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed ranks; zeros are left out.

    Exact without ties up to 50 differences and with ties up to 13, else by the normal
    approximation.
    """
    nonzero = differences[differences != 0]
    return float(stats.wilcoxon(nonzero).pvalue) if len(nonzero) else 1.0


def without_rounding(differences: np.ndarray, scale: float) -> np.ndarray:
    """Differences [n] in units of `scale`, those that rounding tells apart made equal."""
    return np.round(differences / scale, ROUNDING_DECIMALS) if scale > 0 else differences


def _compare(differences: np.ndarray, scale: float, alpha: float) -> MeanComparison:
    n = len(differences)
    if n == 0:
        return MeanComparison(0, *[NAN] * 9, "no seed has a value on both sides")
    mean = float(np.mean(differences))
    if n == 1:
        return MeanComparison(1, mean, *[NAN] * 8, "one difference has no spread")
    even = without_rounding(differences, scale)
    checks = {"wilcoxon_p": wilcoxon_p(even), "sign_p": sign_test_p(even)}
    if agree(differences, scale):
        alike = "0" if not even.any() else "equal"
        note = f"all {n} differences are {alike}: no spread to test with"
        return MeanComparison(n, mean, NAN, NAN, 0.0, *[NAN] * 5, note)._replace(**checks)
    done = stats.ttest_1samp(differences, 0.0)
    low, high = done.confidence_interval(1 - alpha)
    sd = float(np.std(differences, ddof=1))
    t, p = float(done.statistic), float(done.pvalue)
    ends = float(low), float(high)
    return MeanComparison(n, mean, *ends, sd, t, p, NAN, **checks, note=None)


def _size(sample: np.ndarray, *others: float) -> float:
    """The largest magnitude of all these numbers."""
    return float(np.max(np.abs([*sample, *others]), initial=0.0))
