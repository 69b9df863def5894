"""Page's test of a monotone trend of a metric with lambda, and the size of the trend.

Page's test ranks the lambdas within each seed. Its p is exact: a sum over all orders.

References:
    E. B. Page. Ordered hypotheses for multiple treatments: a significance test for linear ranks.
    1963. doi:10.2307/2282965.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from flatreg.statistics.samples import NAN

# Most columns whose distribution is computed; it takes k 2^k sums.
EXACT_COLUMNS = 12


class PageTest(NamedTuple):
    """Page's test: its statistic L, and the p of either tail."""

    n: int
    statistic: float
    p_rising: float
    p_falling: float
    note: str | None


def page_test(blocks: np.ndarray) -> PageTest:
    r"""Page's test of a trend over the columns, in their order.

    With R_ij the rank of column j in seed i (ties get their mean rank),

        L = sum over i, j of j R_ij

    Without a trend all orders of a seed's ranks are equally likely, so the distribution of L is the
    convolution of those of the seeds, and p is exact, with ties too. For more columns than
    `EXACT_COLUMNS`, p is from the normal distribution with the same mean and variance.

    Args:
        blocks: [n, k] for n seeds and k lambdas; a seed with a missing value is left out.
    """
    whole = blocks[~np.isnan(blocks).any(axis=1)]
    n, k = whole.shape
    if n < 1 or k < 3:
        return PageTest(n, *[NAN] * 3, "Page's test needs a seed and three lambdas")
    ranks = stats.rankdata(whole, axis=1)
    statistic = float(np.sum(ranks @ np.arange(1, k + 1)))
    if k > EXACT_COLUMNS:
        return PageTest(n, statistic, *_normal_tails(ranks, statistic), "normal approximation")
    # Mean ranks are whole or half, so twice L is whole.
    chances = np.ones(1)
    for row in np.rint(2 * ranks).astype(int):
        chances = np.convolve(chances, _chances(tuple(np.sort(row).tolist())))
    seen = round(2 * statistic)
    tails = np.sum(chances[seen:]), np.sum(chances[: seen + 1])
    rising, falling = (min(1.0, float(tail)) for tail in tails)
    return PageTest(n, statistic, rising, falling, None)


@cache
def _chances(ranks: tuple[int, ...]) -> np.ndarray:
    """Probability of each value of sum of j R_j, from 0, over all orders of k whole ranks.

    The columns are filled one after another. What counts is which ranks are taken, not in which
    order, so there are 2^k states instead of k! orders.
    """
    k = len(ranks)
    size = int(np.dot(ranks, np.arange(1, k + 1))) + 1  # the ranks rise, so this is the largest sum
    orders = np.zeros((2**k, size))
    orders[0, 0] = 1.0
    for taken in range(2**k):
        column = taken.bit_count() + 1
        for place, rank in enumerate(ranks):
            if not taken >> place & 1:
                step = column * rank
                orders[taken | 1 << place, step:] += orders[taken, : size - step]
    return orders[-1] / np.sum(orders[-1])


def _normal_tails(ranks: np.ndarray, statistic: float) -> tuple[float, float]:
    """Upper and lower tail of L by its mean and variance over all orders of ranks [n, k]."""
    n, k = ranks.shape
    center = (k + 1) / 2
    spread = np.sum((ranks - center) ** 2) * np.sum((np.arange(1, k + 1) - center) ** 2) / (k - 1)
    if spread == 0:
        return 1.0, 1.0
    z = (statistic - n * k * center**2) / np.sqrt(spread)
    return float(stats.norm.sf(z)), float(stats.norm.cdf(z))


def rank_correlations(blocks: np.ndarray) -> np.ndarray:
    """Spearman's correlation [..., n] of each row of [..., n, k] with the order of the columns.

    Tied values get their mean rank, but the denominator is that of untied ranks (Kendall's rho_a).
    So a constant row has correlation 0, and Page's L is a linear function of the mean.
    """
    k = blocks.shape[-1]
    order = np.arange(k) - (k - 1) / 2
    return stats.rankdata(blocks, axis=-1) @ order / np.sum(order**2)
