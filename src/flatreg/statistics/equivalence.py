"""Two one-sided tests (TOST): whether a mean lies within a margin, so that it counts as no effect.

Each of the two tests has the null hypothesis that the mean is beyond one end of (-margin, margin).
Both must reject, so p is the larger of the two. The test rejects at alpha exactly if the
1 - 2 alpha interval lies inside the margin.

If all n differences are equal, a t-test would divide by zero. Equal differences do not prove that
seeds never differ. But if half of all seeds were beyond an end of the margin, the probability that
none of n is would be 2^-n. So this case uses a sign test against each end, which is about the
median seed: p is 2^-n inside the margin and 1 outside. The note says so, and gives an upper bound
on the share of seeds that differ by more (0 of n, the exact form of the rule of three). At the
level 0.05 it takes five equal pairs.

References:
    D. J. Schuirmann. A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability. 1987. doi:10.1007/BF01068419.
    D. Lakens. Equivalence tests. 2017. doi:10.1177/1948550617697177.
    J. A. Hanley, A. Lippman-Hand. If nothing goes wrong, is everything all right? 1983.
    doi:10.1001/jama.1983.03330370053031. (The rule of three.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from flatreg.statistics.one_sample import log_ratios
from flatreg.statistics.samples import NAN, ROUNDING, agree


class Equivalence(NamedTuple):
    """A mean tested against a margin around 0 (for a ratio: around 1).

    Attributes:
        n: pairs or values; for two unpaired samples the size of the smaller one.
        low: lower end of the 1 - 2 alpha interval.
        high: upper end of it.
        p_low: p of the test against the lower end of the margin.
        p_high: p of the test against the upper end.
        p: the larger of the two.
        sign_p: the same by two one-sided sign tests; two unpaired samples have it only if neither
            varies.
    """

    n: int
    estimate: float
    low: float
    high: float
    p_low: float
    p_high: float
    p: float
    sign_p: float
    note: str | None


def equivalence_paired(
    treated: np.ndarray, baseline: np.ndarray, margin: float, alpha: float
) -> Equivalence:
    """Test whether two samples [n] over the same seeds differ by less than the margin, n from 0."""
    scale = float(np.max(np.abs([treated, baseline]), initial=0.0))
    return _of_differences(treated - baseline, margin, alpha, scale)


def equivalence_of_mean(
    sample: np.ndarray, expected: float, margin: float, alpha: float
) -> Equivalence:
    """Test whether the mean of a sample [n], n from 0, is within the margin of an expected one."""
    scale = float(np.max(np.abs([*sample, expected])))
    return _of_differences(sample - expected, margin, alpha, scale)


def equivalence_of_ratio(
    ratios: np.ndarray, reported: float, margin: float, alpha: float
) -> Equivalence:
    """Test whether the geometric mean of ratios [n] equals a reported ratio within a factor.

    Args:
        ratios: n from 0.
        reported: above 0.
        margin: a factor above 1; 1.25 allows 1 / 1.25 to 1.25 times the reported ratio.
        alpha: level of the test.

    Returns:
        The test; its estimate and interval are of the geometric mean over `reported`.

    Raises:
        ValueError: a ratio is not above 0, or the margin is not above 1.
    """
    logs = log_ratios(ratios, reported)
    result = _of_differences(logs, float(np.log(margin)), alpha, 1.0)
    estimate, low, high = np.exp([result.estimate, result.low, result.high])
    return result._replace(estimate=float(estimate), low=float(low), high=float(high))


def equivalence_welch(
    treated: np.ndarray, baseline: np.ndarray, margin: float, alpha: float
) -> Equivalence:
    """Test by Welch whether the means of samples [n] and [m] differ by less than the margin.

    If neither sample varies, pairing them in any order gives the same differences, so they are
    tested by signs.
    """
    _check_margin(margin)
    n = min(len(treated), len(baseline))
    if n == 0:
        return Equivalence(0, *[NAN] * 7, "no run on one side has a value")
    difference = float(np.mean(treated) - np.mean(baseline))
    if n == 1:
        return Equivalence(1, difference, *[NAN] * 6, "a test needs two runs on either side")
    if agree(treated) and agree(baseline):
        return _by_signs(treated[:n] - baseline[:n], margin, alpha)
    means = CompareMeans(DescrStatsW(treated), DescrStatsW(baseline))
    p, (low_test, high_test) = means.ttost_ind(-margin, margin, usevar="unequal")
    low, high = means.tconfint_diff(alpha=2 * alpha, usevar="unequal")
    numbers = [difference, low, high, low_test[1], high_test[1], p]
    return Equivalence(n, *map(float, numbers), NAN, None)


def sign_equivalence(differences: np.ndarray, margin: float) -> tuple[float, float]:
    """P values of the one-sided sign tests against -margin and against margin.

    The null hypotheses are that the median is at or below -margin, and at or above margin. A
    difference of exactly the margin counts as beyond it.
    """
    n, slack = len(differences), ROUNDING * margin
    inside_low = int(np.sum(differences > slack - margin))
    inside_high = int(np.sum(differences < margin - slack))
    tests = (stats.binomtest(k, n, 0.5, "greater") for k in (inside_low, inside_high))
    p_low, p_high = (float(test.pvalue) for test in tests)
    return p_low, p_high


def _of_differences(
    differences: np.ndarray, margin: float, alpha: float, scale: float
) -> Equivalence:
    _check_margin(margin)
    n = len(differences)
    if n == 0:
        return Equivalence(0, *[NAN] * 7, "no seed has a value on both sides")
    if n == 1:
        mean = float(differences[0])
        return Equivalence(1, mean, *[NAN] * 6, "one difference has no spread")
    if agree(differences, scale):
        return _by_signs(differences, margin, alpha)
    sample = DescrStatsW(differences)
    p, low_test, high_test = sample.ttost_mean(-margin, margin)
    low, high = sample.tconfint_mean(alpha=2 * alpha)
    numbers = [np.mean(differences), low, high, low_test[1], high_test[1], p]
    sign_p = max(sign_equivalence(differences, margin))
    return Equivalence(n, *map(float, numbers), sign_p, None)


def _by_signs(differences: np.ndarray, margin: float, alpha: float) -> Equivalence:
    """The test for the case that all differences are equal."""
    n, mean = len(differences), float(np.mean(differences))
    p_low, p_high = sign_equivalence(differences, margin)
    p = max(p_low, p_high)
    note = f"all {n} differences are equal: no spread, so tested by signs"
    if p < 1:
        note += f"; {1 - alpha:.3g} sure that at most {1 - alpha ** (1 / n):.0%} of seeds differ by"
        note += " more than the margin"
    return Equivalence(n, mean, NAN, NAN, p_low, p_high, p, p, note)


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise ValueError("the margin must be above 0, or above 1 for a ratio")
