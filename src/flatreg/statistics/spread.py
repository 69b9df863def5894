r"""Comparison of two standard deviations, of n and m independent values.

The ratio of two variances of normal samples, divided by the true ratio r^2, has the F distribution
with n - 1 and m - 1 degrees of freedom. So a test of r against an end of a margin, a factor q or
1 / q, is one tail of F = (s_1 / s_2)^2 / q^2 or (s_1 / s_2)^2 q^2, and the interval of r is
s_1 / s_2 over the roots of two quantiles of F. These need normal values, at any n; Brown and
Forsythe's test beside it does not.

References:
    G. W. Snedecor, W. G. Cochran. Statistical methods. 8th ed., 1989, section 6.12. (The F test.)
    M. B. Brown, A. B. Forsythe. Robust tests for the equality of variances. 1974.
    doi:10.1080/01621459.1974.10482955.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from flatreg.statistics.margin import MarginTest
from flatreg.statistics.samples import NAN, agree


def spread_margin_test(
    treated: np.ndarray, baseline: np.ndarray, margin: float, alpha: float
) -> MarginTest:
    """Test the ratio of two standard deviations against a margin around 1, by F tests.

    Args:
        treated: [n], n from 0.
        baseline: [m], m from 0.
        margin: a factor above 1.
        alpha: the interval covers 1 - alpha.

    Returns:
        The test; its n is that of the treated side, its sd and `largest` are NaN.

    Raises:
        ValueError: the margin is not above 1.
    """
    if not margin > 1:
        raise ValueError("the margin of a ratio must be above 1")
    n, m = len(treated), len(baseline)
    if min(n, m) < 2 or agree(treated) or agree(baseline):
        note = f"two spreads need two runs that vary on either side; runs: {n}, {m}"
        return MarginTest(n, *[NAN] * 9, note)
    ratio, df = float(np.std(treated, ddof=1) / np.std(baseline, ddof=1)), (n - 1, m - 1)
    low, high = ratio / np.sqrt(special.fdtri(*df, [1 - alpha / 2, alpha / 2]))
    upper, lower = (ratio / margin) ** 2, (ratio * margin) ** 2
    above, below = special.fdtrc(*df, [upper, lower]), special.fdtr(*df, [upper, lower])
    p_values = above[0], below[0], below[1], above[1]
    return MarginTest(n, ratio, float(low), float(high), NAN, NAN, *map(float, p_values), None)


def spread_power(n: int, m: int, ratio: float, margin: float, alpha: float) -> float:
    """Power of the one-sided F test that shows a ratio of standard deviations above a margin.

    By symmetry the power to show one below 1 / margin is that with the sides and the ratio turned
    over. `margin` below 1 gives a test against another threshold than the margin's upper end.

    Args:
        n: values on the treated side; NaN is returned for fewer than two on either side.
        m: values on the other side.
        ratio: the true ratio.
        margin: the threshold.
        alpha: level of the one-sided test.
    """
    if min(n, m) < 2:
        return NAN
    df = n - 1, m - 1
    return float(special.fdtrc(*df, special.fdtri(*df, 1 - alpha) * (margin / ratio) ** 2))


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


def brown_forsythe_p(treated: np.ndarray, baseline: np.ndarray) -> float:
    """Two-sided p of Brown and Forsythe's test, Levene's with medians, of samples [n] and [m].

    It keeps its level for skewed values too. With three runs on each side it has almost no power,
    because one of the three deviations from a median is always 0. NaN for fewer than three, and if
    on each side all values are equally far from the median.
    """
    samples = treated, baseline
    if min(map(len, samples)) < 3:
        return NAN
    if all(agree(np.abs(sample - np.median(sample))) for sample in samples):
        return NAN
    return float(stats.levene(*samples, center="median").pvalue)
