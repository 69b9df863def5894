"""The ratio of two paired means, with Fieller's interval.

References:
    E. C. Fieller. Some problems in interval estimation. Journal of the Royal Statistical Society
    B 16(2), 1954. doi:10.1111/j.2517-6161.1954.tb00159.x.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from flatreg.statistics.bootstrap import Interval
from flatreg.statistics.samples import NAN


def ratio_of_means(above: np.ndarray, below: np.ndarray, alpha: float) -> Interval:
    """The mean of a sample [n] over that of another [n], paired with it.

    A ratio r is in the interval if a t-test of the mean of above - r * below against 0 does not
    reject at alpha. So it covers 1 - alpha if the pairs are normal.

    Returns:
        Without an interval if the mean of `below` may be 0, as the ratio then may be anything.
    """
    n = len(above)
    if n < 2:
        return Interval(float(above[0] / below[0]) if n else NAN, NAN, NAN, "fewer than two pairs")
    x, y = np.mean(above), np.mean(below)
    if np.allclose(above, below):
        return Interval(float(x / y), NAN, NAN, "both are the same in all pairs: no interval")
    squared_t = stats.t.ppf(1 - alpha / 2, n - 1) ** 2
    (vx, cxy), (_, vy) = np.cov(above, below) * squared_t / n
    a, b, c = y**2 - vy, x * y - cxy, x**2 - vx
    if a <= 0:
        return Interval(float(x / y), NAN, NAN, "the mean below may be 0: no interval of the ratio")
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return Interval(float(x / y), float((b - root) / a), float((b + root) / a), None)
