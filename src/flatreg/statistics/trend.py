"""Tests of a monotone trend of a metric with lambda.

Page's test ranks the lambdas within each seed; Jonckheere and Terpstra's test treats all runs as
unpaired. Both are two-sided here: p is twice the smaller one-sided p.

References:
    E. B. Page. Ordered hypotheses for multiple treatments: a significance test for linear ranks.
    1963. doi:10.2307/2282965.
    A. R. Jonckheere. A distribution-free k-sample test against ordered alternatives. 1954.
    doi:10.2307/2333011.
    M. Hollander, D. A. Wolfe, E. Chicken. Nonparametric statistical methods. 3rd ed., 2014,
    section 6.2. (Its variance with ties.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from flatreg.statistics.aggregate import superiority
from flatreg.statistics.bootstrap import bca_interval
from flatreg.statistics.samples import NAN

# Most columns whose distribution is computed; it takes k 2^k sums.
EXACT_COLUMNS = 12


class Trend(NamedTuple):
    """A test of trend, and an effect from -1 (falling) to 1 (rising) with a bootstrap interval."""

    n: int
    statistic: float
    p: float
    effect: float
    low: float
    high: float
    note: str | None


def page_trend(blocks: np.ndarray, alpha: float, rng: np.random.Generator) -> Trend:
    """Page's test of a trend over the columns, in their order.

    With tied ranks p is conservative: ties lower the spread of the statistic, not its mean.

    Args:
        blocks: [n, k] for n seeds and k lambdas; a seed with a missing value is left out.
        alpha: the interval of the effect is meant to cover 1 - alpha.
        rng: generator of the bootstrap over seeds.

    Returns:
        Page's L as the statistic; the effect is the mean over seeds of `rank_correlations`.
    """
    whole = blocks[~np.isnan(blocks).any(axis=1)]
    n, k = whole.shape
    if n < 2 or k < 3:
        return Trend(n, *[NAN] * 5, "Page's test needs two seeds and three lambdas")
    rising, falling = (stats.page_trend_test(b) for b in (whole, whole[:, ::-1]))
    p = min(1.0, 2 * min(float(rising.pvalue), float(falling.pvalue)))
    effect = bca_interval((rank_correlations(whole),), np.mean, alpha, rng)
    note = "all seeds trend alike: no interval" if np.isnan(effect.low) else effect.note
    return Trend(n, float(rising.statistic), p, *effect)._replace(note=note)


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


def jonckheere_terpstra(
    samples: Sequence[np.ndarray], alpha: float, rng: np.random.Generator
) -> Trend:
    """Jonckheere and Terpstra's test of a trend over unpaired samples, in their order.

    p uses the normal approximation, with the variance corrected for ties.

    Args:
        samples: one array [n] per lambda, each with its own n, from 0.
        alpha: the interval of the effect is meant to cover 1 - alpha.
        rng: generator of the bootstrap over the runs of each sample.

    Returns:
        As the statistic J, the number of rising pairs of runs of different samples (ties count
        half). The effect is the share of rising pairs minus that of falling pairs. n counts all
        runs.
    """
    filled = [sample for sample in samples if len(sample)]
    n = sum(map(len, filled))
    if len(filled) < 2:
        return Trend(n, *[NAN] * 5, "a trend needs runs at two lambdas")
    sizes = np.array([len(sample) for sample in filled])
    pairs = (n**2 - np.sum(sizes**2)) / 2
    effect = bca_interval(filled, rising_share, alpha, rng)
    statistic = (effect.estimate + 1) / 2 * pairs
    _, ties = np.unique(np.concatenate(filled), return_counts=True)
    variance = jonckheere_variance(sizes, ties)
    if variance == 0:
        return Trend(n, statistic, 1.0, 0.0, NAN, NAN, "all runs agree: no trend")
    z = abs(statistic - pairs / 2) / np.sqrt(variance)
    return Trend(n, float(statistic), float(2 * stats.norm.sf(z)), *effect)


def rising_share(*samples: np.ndarray, axis: int) -> np.ndarray:
    """Share of rising minus share of falling pairs [...] of samples [..., n]; `axis` is -1."""
    pairs = list(combinations(samples, 2))
    weights = [first.shape[axis] * second.shape[axis] for first, second in pairs]
    shares = [superiority(second, first) for first, second in pairs]
    return 2 * np.average(shares, axis=0, weights=weights) - 1


def jonckheere_variance(sizes: np.ndarray, ties: np.ndarray) -> float:
    """Variance of J under no trend, from the number of runs per sample and per distinct value."""
    n = sizes.sum()
    untied = _cubes(n) - np.sum(_cubes(sizes)) - np.sum(_cubes(ties))
    variance = untied / 72 + _tuples(sizes, 2) * _tuples(ties, 2) / (8 * special.perm(n, 2))
    if n > 2:
        variance += _tuples(sizes, 3) * _tuples(ties, 3) / (36 * special.perm(n, 3))
    return float(variance)


def _cubes(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) * (2 * counts + 5)


def _tuples(counts: np.ndarray, k: int) -> float:
    """Number of ordered k-tuples of runs from one group, summed over the groups."""
    return float(np.sum(special.perm(counts, k)))
