"""Two samples compared by Student's, Welch's and the paired t-test, with Hedges' g.

References:
    B. L. Welch. The generalization of Student's problem. 1947. doi:10.1093/biomet/34.1-2.28.
    L. V. Hedges. Distribution theory for Glass's estimator of effect size. 1981.
    doi:10.3102/10769986006002107.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from flatreg.statistics.samples import NAN, agree


class Comparison(NamedTuple):
    """The difference of two samples' means, its interval and the tests of it."""

    difference: float
    low: float
    high: float
    student_t: float
    student_p: float
    welch_t: float
    welch_df: float
    welch_p: float
    paired_t: float
    paired_p: float
    hedges_g: float
    note: str | None


def compare(
    treated: np.ndarray,
    baseline: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    alpha: float,
) -> Comparison:
    """Compare two samples with Student's, Welch's and, over pairs, the paired t-test.

    Args:
        treated: [n]
        baseline: [m]
        pairs: treated and baseline values of the shared seeds, in the same order.
        alpha: Welch's interval of the difference covers 1 - alpha.
    """
    if len(treated) == 0 or len(baseline) == 0:
        side = "this lambda" if len(treated) == 0 else "lambda 0"
        return Comparison(*[NAN] * 11, f"no run at {side} has a value")
    difference = float(np.mean(treated) - np.mean(baseline))
    empty = Comparison(difference, *[NAN] * 10, None)
    if min(len(treated), len(baseline)) < 2:
        return empty._replace(note="a test needs two runs on either side")
    if np.ptp(treated) == 0 and np.ptp(baseline) == 0:
        return empty._replace(note="all runs agree on either side: no spread to test against")
    with warnings.catch_warnings():
        # If one side is constant, scipy warns that rounding may affect its variance; it is 0.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        student = stats.ttest_ind(treated, baseline)
        welch = stats.ttest_ind(treated, baseline, equal_var=False)
        interval = welch.confidence_interval(1 - alpha)
    paired_t, paired_p, note = _paired(*pairs)
    return Comparison(
        difference=difference,
        low=float(interval.low),
        high=float(interval.high),
        student_t=float(student.statistic),
        student_p=float(student.pvalue),
        welch_t=float(welch.statistic),
        welch_df=float(welch.df),
        welch_p=float(welch.pvalue),
        paired_t=paired_t,
        paired_p=paired_p,
        hedges_g=hedges_g(treated, baseline),
        note=note,
    )


def hedges_g(treated: np.ndarray, baseline: np.ndarray) -> float:
    """Difference of means in pooled standard deviations, with Hedges' exact bias correction."""
    df = len(treated) + len(baseline) - 2
    squares = sum(np.var(sample, ddof=1) * (len(sample) - 1) for sample in (treated, baseline))
    effect = (np.mean(treated) - np.mean(baseline)) / np.sqrt(squares / df)
    return float(bias_correction(df) * effect)


def bias_correction(df: float) -> float:
    """Hedges' exact factor c(df), df above 1, which makes a standardized mean unbiased."""
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def _paired(treated: np.ndarray, baseline: np.ndarray) -> tuple[float, float, str | None]:
    if len(treated) < 2:
        return NAN, NAN, "no paired test: fewer than two shared seeds"
    differences = treated - baseline
    if agree(differences):
        return NAN, NAN, "no paired test: all differences agree"
    paired = stats.ttest_rel(treated, baseline)
    return float(paired.statistic), float(paired.pvalue), None
