"""One sample against a number: differences over shared seeds, and ratios against a reported one.

Two tests that assume less check the t-test: Wilcoxon's signed ranks (symmetric differences) and
the sign test (only a median). If all differences are 0, the t-test has no p; the other two have
p = 1, because every assignment of signs gives the same data.

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

# Most differences whose signed-rank test is exact in spite of ties.
EXACT_WITH_TIES = 13


class MeanComparison(NamedTuple):
    """A mean compared with a number: the estimate, its t interval and the tests."""

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
    """Compare a sample [n], n from 0, with an expected mean.

    Returns:
        The mean minus `expected` with its 1 - alpha interval; Hedges' g is in standard deviations
        of the sample.
    """
    comparison = _compare(sample - expected, _size(sample, expected), alpha)
    if np.isnan(comparison.t) or comparison.n < 3:
        return comparison
    return comparison._replace(
        hedges_g=bias_correction(comparison.n - 1) * comparison.estimate / comparison.sd
    )


def compare_paired(treated: np.ndarray, baseline: np.ndarray, alpha: float) -> MeanComparison:
    """Compare two samples [n], n from 0, over the same seeds in the same order.

    Returns:
        The mean difference with its 1 - alpha interval, and the standard deviation of the
        differences. Hedges' g divides by the standard deviation over seeds, not by that of the
        differences: the root of the two sides' mean variance. So it compares with an unpaired g.
    """
    comparison = _compare(treated - baseline, _size(treated, *baseline), alpha)
    return comparison._replace(hedges_g=hedges_g_paired(treated, baseline))


def compare_ratio(ratios: np.ndarray, reported: float, alpha: float) -> MeanComparison:
    """Compare ratios [n], n from 0, with a reported ratio, by their logarithms.

    Returns:
        The geometric mean of the ratios over `reported`, with its interval; the standard deviation
        and Hedges' g are those of the logarithms.

    Raises:
        ValueError: a ratio is not above 0.
    """
    comparison = compare_mean(log_ratios(ratios, reported), 0.0, alpha)
    estimate, low, high = np.exp([comparison.estimate, comparison.low, comparison.high])
    return comparison._replace(estimate=float(estimate), low=float(low), high=float(high))


def log_ratios(ratios: np.ndarray, reported: float) -> np.ndarray:
    """Logarithms [n] of ratios [n] over a reported one.

    Raises:
        ValueError: a ratio is not above 0.
    """
    if reported <= 0 or (np.asarray(ratios) <= 0).any():
        raise ValueError("every ratio must be above 0")
    return np.log(ratios) - np.log(reported)


def hedges_g_paired(treated: np.ndarray, baseline: np.ndarray) -> float:
    """Hedges' g of pairs [n]: the mean difference over the root of the two sides' mean variance.

    The mean variance is half the trace of the 2 x 2 covariance C. Its degrees of freedom are
    (n - 1) tr(C)^2 / tr(C^2): from n - 1, if the sides differ by a shift only, to 2 (n - 1), if
    they are independent with equal variances. NaN for fewer than three pairs, and if neither side
    varies.
    """
    if len(treated) < 3 or (agree(treated) and agree(baseline)):
        return NAN
    covariance = np.cov(treated, baseline)
    trace = np.trace(covariance)
    df = (len(treated) - 1) * trace**2 / np.sum(covariance**2)
    return float(bias_correction(df) * np.mean(treated - baseline) / np.sqrt(trace / 2))


def sign_test_p(differences: np.ndarray) -> float:
    """Two-sided p of the exact sign test of a median of 0; zeros are left out."""
    above, below = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    if above + below == 0:
        return 1.0
    return float(stats.binomtest(above, above + below, 0.5).pvalue)


def wilcoxon_p(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; zeros are left out.

    Exact for up to 50 differences without ties and up to 13 with ties; beyond that by the normal
    approximation.
    """
    nonzero = differences[differences != 0]
    sizes, n = np.abs(nonzero), len(nonzero)
    if n <= EXACT_WITH_TIES and len(np.unique(sizes)) < n:
        return _exact_wilcoxon_p(stats.rankdata(sizes), nonzero > 0)
    return float(stats.wilcoxon(nonzero).pvalue) if n else 1.0


def _exact_wilcoxon_p(ranks: np.ndarray, positive: np.ndarray) -> float:
    """P of mean ranks [n] with these signs [n] among all assignments of signs.

    scipy tries the assignments one by one, which takes a tenth of a second for 13 ranks.
    """
    doubled = np.rint(2 * ranks).astype(int)  # mean ranks are whole or half
    assignments = np.ones(1)  # by the sum of the positive ranks
    for rank in doubled:
        assignments = np.pad(assignments, (0, rank)) + np.pad(assignments, (rank, 0))
    total = doubled[positive].sum()
    tails = assignments[: total + 1].sum(), assignments[total:].sum()
    return float(min(1.0, 2 * min(tails) / 2 ** len(ranks)))


def without_rounding(differences: np.ndarray, scale: float) -> np.ndarray:
    """Differences [n] in units of `scale`, rounded so that float64 errors make no difference."""
    return np.round(differences / scale, ROUNDING_DECIMALS) if scale > 0 else differences


def _compare(differences: np.ndarray, scale: float, alpha: float) -> MeanComparison:
    n = len(differences)
    if n == 0:
        return MeanComparison(0, *[NAN] * 9, "no seed has a value on both sides")
    mean = float(np.mean(differences))
    if n == 1:
        return MeanComparison(1, mean, *[NAN] * 8, "one difference has no spread")
    rounded = without_rounding(differences, scale)
    checks = {"wilcoxon_p": wilcoxon_p(rounded), "sign_p": sign_test_p(rounded)}
    if agree(differences, scale):
        alike = "0" if not rounded.any() else "equal"
        note = f"all {n} differences are {alike}: no spread to test with"
        return MeanComparison(n, mean, NAN, NAN, 0.0, *[NAN] * 5, note)._replace(**checks)
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(1 - alpha)
    sd = float(np.std(differences, ddof=1))
    t, p = float(test.statistic), float(test.pvalue)
    ends = float(low), float(high)
    return MeanComparison(n, mean, *ends, sd, t, p, NAN, **checks, note=None)


def _size(sample: np.ndarray, *others: float) -> float:
    """The largest magnitude of all these numbers."""
    return float(np.max(np.abs([*sample, *others]), initial=0.0))
