r"""A mean tested against a margin: on which side of each end of (-margin, margin) it lies.

Four one-sided t tests, each with the p of its own tail (a p got as 1 - p cannot be below 1e-16):

    T = (mean - m) / se,    se^2 = s^2 (1/n + overlap),    n - 1 degrees of freedom

    p_above      null: mean <= m     P(T' >= T at m)      rejected: the mean is above the margin
    p_not_above  null: mean >= m     P(T' <= T at m)      rejected: it is not
    p_below      null: mean >= -m    P(T' <= T at -m)     rejected: the mean is below the margin
    p_not_below  null: mean <= -m    P(T' >= T at -m)     rejected: it is not

Two one-sided tests (Schuirmann 1987) show a mean within the margin: both of `p_not_above` and
`p_not_below` must reject, so p is the larger.

`overlap` is 0 for independent values. For values from random splits of one data set it is
n_test / n_train: their training sets overlap, so they are correlated and s^2 / n is too small
(Nadeau and Bengio 2003, the corrected resampled t-test). If all pairs of values have the
correlation n_test / (n_test + n_train), as that test assumes, T has its t distribution exactly for
normal values: the mean and s are independent, E s^2 = (1 - rho) sigma^2, and
var(mean) = (1 - rho) sigma^2 (1/n + rho / (1 - rho)).

Ratios are tested by their logarithms; correlations, in `flatreg.statistics.correlations`.

Values that are all equal have no spread to test with, and no p: runs that are equal in every seed
are no sample of anything. `largest` is reported instead.

References:
    D. J. Schuirmann. A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability. 1987. doi:10.1007/BF01068419.
    C. Nadeau, Y. Bengio. Inference for the generalization error. 2003. doi:10.1023/A:1024068626366.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from flatreg.statistics.samples import NAN, agree


class MarginTest(NamedTuple):
    """An effect tested against a margin around none.

    Attributes:
        n: values.
        estimate: mean of the values; for two spreads their ratio.
        low: lower end of the two-sided 1 - alpha interval.
        high: upper end of it.
        sd: standard deviation of the values.
        largest: the value furthest from no effect, with its sign.
        p_above: small if the effect is above the upper end of the margin.
        p_not_above: small if it is below the upper end.
        p_below: small if it is below the lower end.
        p_not_below: small if it is above the lower end.
        note: why a number is missing, or how it was come by.
    """

    n: int
    estimate: float
    low: float
    high: float
    sd: float
    largest: float
    p_above: float
    p_not_above: float
    p_below: float
    p_not_below: float
    note: str | None

    @property
    def p_within(self) -> float:
        """Small if the effect is within the margin (two one-sided tests)."""
        return max(self.p_not_above, self.p_not_below)

    def nulls(self) -> tuple[float, float, float]:
        """P of the nulls that the effect is below, within and above the margin.

        Exactly one of the three is true. Each one-sided p is doubled: a null is rejected at alpha
        exactly if the two-sided 1 - alpha interval has no value in common with it.
        """
        within = min(self.p_above, self.p_below)
        below, inside, above = (
            min(2 * p, 1.0) for p in (self.p_not_below, within, self.p_not_above)
        )
        return below, inside, above


def margin_test(
    values: np.ndarray, margin: float, alpha: float, *, overlap: float = 0.0, scale: float = 0.0
) -> MarginTest:
    """Test the mean of values [n], n from 0, against a margin around 0.

    Args:
        values: one per seed.
        margin: above 0, in the unit of the values.
        alpha: the interval covers 1 - alpha.
        overlap: n_test / n_train where the values are from random splits of one data set.
        scale: largest magnitude of the numbers that the values are differences of; see
            `flatreg.statistics.agree`.

    Raises:
        ValueError: the margin is not above 0, or the overlap is below 0.
    """
    few = too_few(values, margin)
    if few is not None:
        return few
    summary = describe(values)
    if agree(values, scale):
        note = f"all {len(values)} values are equal: no spread to test with"
        return summary._replace(sd=0.0, note=note)
    return tested(summary, margin, alpha, standard_error(summary.sd, len(values), overlap))


def standard_error(sd: float, n: int, overlap: float = 0.0) -> float:
    """Standard error of the mean of `n` values: sd sqrt(1/n + overlap); see the module.

    Raises:
        ValueError: the overlap is below 0.
    """
    if not overlap >= 0:
        raise ValueError("the overlap n_test / n_train must be at least 0")
    return float(sd * np.sqrt(1 / n + overlap))


def too_few(values: np.ndarray, margin: float) -> MarginTest | None:
    """The result for fewer than two values.

    Raises:
        ValueError: the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError("the margin must be above 0")
    n = len(values)
    if n > 1:
        return None
    if n == 1:
        only = float(values[0])
        return MarginTest(1, only, NAN, NAN, NAN, only, *[NAN] * 4, "one value has no spread")
    return MarginTest(0, *[NAN] * 9, "no seed has a value")


def describe(values: np.ndarray) -> MarginTest:
    """What describes the values, without the tests."""
    n, mean = len(values), float(np.mean(values))
    centred = values - mean
    sd = float(np.sqrt(centred @ centred / (n - 1)))
    largest = float(values[np.argmax(np.abs(values))])
    return MarginTest(n, mean, NAN, NAN, sd, largest, *[NAN] * 4, None)


def tested(summary: MarginTest, margin: float, alpha: float, error: float) -> MarginTest:
    """With the t tests and the interval, from the standard error of the estimate."""
    df = summary.n - 1
    half = -float(special.stdtrit(df, alpha / 2)) * error
    upper, lower = (summary.estimate - margin) / error, (summary.estimate + margin) / error
    # The lower tail of Student's t distribution; `stats.t` takes 30 times as long to give it.
    tails = special.stdtr(df, [-upper, upper, lower, -lower])
    p_above, p_not_above, p_below, p_not_below = map(float, tails)
    return summary._replace(
        low=summary.estimate - half,
        high=summary.estimate + half,
        p_above=p_above,
        p_not_above=p_not_above,
        p_below=p_below,
        p_not_below=p_not_below,
    )
