"""Rank correlations over runs, plain and with what they were made with held fixed.

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

# Held for a plain and for a partial correlation.
NOTHING: list[str] = []
CELL = tables.CELL
# What a granulated coefficient lets vary, one after another.
HYPERPARAMETERS = ["protocol", "lambda"]
# Runs that share these share what a seed fixes, and are not independent.
CLUSTER = ["dataset", "seed"]


def tau(runs: pd.DataFrame, x: str, y: str, held: list[str]) -> float:
    """Kendall's tau-b of two columns, the mean over the groups in which all of `held` are alike.

    Returns:
        NaN if in no group both columns vary.
    """
    pairs = runs[[x, y]].to_numpy(float)
    return _mean([_tau(pairs[rows]) for rows in _groups(runs, held)])


def granulated_tau(runs: pd.DataFrame, x: str, y: str) -> float:
    """The mean over hyperparameters of the mean tau where that one alone varies (Jiang et al.)."""
    return _mean(
        [
            tau(runs, x, y, [name for name in tables.RUN if name != varied])
            for varied in HYPERPARAMETERS
        ]
    )


def pseudo_values(runs: pd.DataFrame, x: str, y: str, held: list[str]) -> np.ndarray:
    """A number for each data set's seed, whose mean is the jackknifed `tau`: [clusters].

    A coefficient that cannot be had of a sample counts as 0: no order is no correlation.

    Args:
        runs: with the columns of `tables.RUN`, x and y.
        x: column, of which missing values are left out with their runs.
        y: the other one.
        held: as of `tau`.

    Returns:
        Empty if there are fewer than 3 clusters.
    """
    known = runs.dropna(subset=[x, y])
    pairs, groups = known[[x, y]].to_numpy(float), _groups(known, held)
    clusters = known.groupby(CLUSTER, sort=True).ngroup().to_numpy()
    n = len(np.unique(clusters))
    if n < 3:
        return np.empty(0)
    whole = [_tau(pairs[rows]) for rows in groups]

    def without(cluster: int) -> float:
        # A group that has no run of the cluster stays as it is.
        left = [rows[clusters[rows] != cluster] for rows in groups]
        taus = [
            found if len(some) == len(rows) else _tau(pairs[some])
            for found, rows, some in zip(whole, groups, left, strict=True)
        ]
        return np.nan_to_num(_mean(taus))

    return n * np.nan_to_num(_mean(whole)) - (n - 1) * np.array([without(i) for i in range(n)])


def _groups(runs: pd.DataFrame, held: list[str]) -> list[np.ndarray]:
    """Row numbers of the runs that are alike in `held`."""
    if not held:
        return [np.arange(len(runs))]
    numbers = runs.groupby(held, sort=False).ngroup().to_numpy()
    return [np.flatnonzero(numbers == number) for number in range(numbers.max(initial=-1) + 1)]


def _tau(pairs: np.ndarray) -> float:
    if len(pairs) < 2:
        return float("nan")
    return float(stats.kendalltau(pairs[:, 0], pairs[:, 1]).statistic)


def _mean(values: list[float]) -> float:
    """The mean of those that are there; NaN of none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
