"""Rank correlations over runs, plain and with hyperparameters held fixed.

References:
    M. G. Kendall. A new measure of rank correlation. 1938. doi:10.1093/biomet/30.1-2.81.
    Y. Jiang et al. Fantastic generalization measures and where to find them. 2020.
    arXiv:1912.02178. (The granulated coefficient, section 3.2.)
    B. Efron, C. Stein. The jackknife estimate of variance. 1981. doi:10.1214/aos/1176345462.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from flatreg import tables

# Columns held fixed in a plain and in a partial correlation.
NOTHING: list[str] = []
CELL = tables.CELL
# A granulated coefficient varies these one at a time.
HYPERPARAMETERS = ["protocol", "lambda"]
# Runs that agree in these share what a seed fixes, so they are not independent.
CLUSTER = ["dataset", "seed"]


def tau(runs: pd.DataFrame, x: str, y: str, held: list[str]) -> float:
    """Kendall's tau-b of two columns, averaged over the groups of runs that agree in `held`.

    Returns:
        NaN if there is no group in which both columns vary.
    """
    pairs = runs[[x, y]].to_numpy(float)
    return _mean([_tau(pairs[rows]) for rows in _groups(runs, held)])


def granulated_tau(runs: pd.DataFrame, x: str, y: str) -> float:
    """Mean over hyperparameters of the mean tau of runs that differ only in that one.

    This is the granulated coefficient of Jiang et al. (2020).
    """
    return _mean(
        [
            tau(runs, x, y, [name for name in tables.RUN if name != varied])
            for varied in HYPERPARAMETERS
        ]
    )


def pseudo_values(runs: pd.DataFrame, x: str, y: str, held: list[str]) -> np.ndarray:
    """Jackknife pseudo-values [clusters] of `tau`, one per data set and seed.

    Their mean is the jackknife estimate of `tau`. A tau that is undefined counts as 0.

    Args:
        runs: with the columns of `tables.RUN`, x and y.
        x: a column; runs with a missing value are left out.
        y: another column; likewise.
        held: columns held fixed, as in `tau`.

    Returns:
        An empty array if there are fewer than 3 clusters.
    """
    known = runs.dropna(subset=[x, y])
    pairs, groups = known[[x, y]].to_numpy(float), _groups(known, held)
    clusters = known.groupby(CLUSTER, sort=True).ngroup().to_numpy()
    n = len(np.unique(clusters))
    if n < 3:
        return np.empty(0)
    whole = [_tau(pairs[rows]) for rows in groups]

    def without(cluster: int) -> float:
        # A group without a run of the cluster keeps its tau, which saves computing it again.
        reduced = [rows[clusters[rows] != cluster] for rows in groups]
        taus = [
            full_tau if len(rest) == len(rows) else _tau(pairs[rest])
            for full_tau, rows, rest in zip(whole, groups, reduced, strict=True)
        ]
        return np.nan_to_num(_mean(taus))

    return n * np.nan_to_num(_mean(whole)) - (n - 1) * np.array([without(i) for i in range(n)])


def _groups(runs: pd.DataFrame, held: list[str]) -> list[np.ndarray]:
    """Row numbers of each group of runs that agree in `held`."""
    if not held:
        return [np.arange(len(runs))]
    numbers = runs.groupby(held, sort=False).ngroup().to_numpy()
    return [np.flatnonzero(numbers == number) for number in range(numbers.max(initial=-1) + 1)]


def _tau(pairs: np.ndarray) -> float:
    if len(pairs) < 2:
        return float("nan")
    return float(stats.kendalltau(pairs[:, 0], pairs[:, 1]).statistic)


def _mean(values: list[float]) -> float:
    """The mean of the values that are not NaN; NaN if there is none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
