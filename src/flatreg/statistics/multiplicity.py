r"""Correction for multiple tests.

References:
    S. Holm. A simple sequentially rejective multiple test procedure. 1979.
    Scandinavian Journal of Statistics 6, 65-70. https://www.jstor.org/stable/4615733.
    J. P. Shaffer. Modified sequentially rejective multiple test procedures. 1986.
    doi:10.1080/01621459.1986.10478341.
    H. Finner, K. Strassburger. The partitioning principle: a powerful tool in multiple decision
    theory. 2002. doi:10.1214/aos/1031689023.
"""

from __future__ import annotations

import numpy as np

from flatreg.statistics.samples import NAN


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p values [k]; a NaN stays NaN and does not count as a test."""
    adjusted = np.full(len(p_values), NAN)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known])]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def shaffer(p_values: np.ndarray) -> np.ndarray:
    r"""Adjusted p values of questions whose null hypotheses exclude one another.

    Question k has the nulls H_k1, H_k2, ... of which exactly one is true, for example that an
    effect is below, within and above its margin. Then exactly K nulls of the family are true, for K
    questions, however many of the others are rejected. Shaffer's procedure multiplies each p by
    the largest number of nulls that can be true at its step, where Holm's counts all that are left:

        adjusted p_ki = min(1, K p_ki)

    Proof. Let i(k) be the true null of question k. A false rejection is one of H_k,i(k), and

        P(some K p_k,i(k) <= alpha) <= sum over k of P(p_k,i(k) <= alpha / K) <= K alpha / K

    for any dependence between the questions. No step can multiply by less: each question keeps a
    null that is not rejected, since its true one may be that. Holm's multipliers for the same nulls
    would go from 3K down to K + 1 at the least.

    Args:
        p_values: [K, nulls], each row with the nulls of one question. NaN is a null that a question
            does not have. A question without any p counts too: whether there is one may depend on
            the data.
    """
    return np.minimum(len(p_values) * p_values, 1.0)
