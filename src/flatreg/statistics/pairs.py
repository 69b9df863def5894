"""Pairs of runs over shared seeds: the size of their difference, and its signed-rank test.

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

import numpy as np
from scipy import stats

from flatreg.statistics.samples import NAN, ROUNDING_DECIMALS, agree
from flatreg.statistics.two_samples import bias_correction

# Most differences whose signed-rank test is exact in spite of ties.
EXACT_WITH_TIES = 13


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


def wilcoxon_p(differences: np.ndarray, scale: float) -> float:
    """Two-sided p of Wilcoxon's signed-rank test of differences [n]; zeros are left out.

    It assumes symmetric differences only. Exact for up to 50 differences without ties and up to 13
    with ties; beyond that by the normal approximation. If all are 0, p is 1, because every
    assignment of signs gives the same data. NaN for fewer than two.

    Args:
        differences: n from 0.
        scale: largest magnitude of the numbers that they are differences of, whose rounding must
            not break ties.
    """
    if len(differences) < 2:
        return NAN
    rounded = np.round(differences / scale, ROUNDING_DECIMALS) if scale > 0 else differences
    nonzero = rounded[rounded != 0]
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
