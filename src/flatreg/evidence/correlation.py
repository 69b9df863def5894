"""Rank correlations over runs, plain and with what they were made with held fixed.

References:
    M. G. Kendall. A new measure of rank correlation. 1938. doi:10.1093/biomet/30.1-2.81.
    Y. Jiang et al. Fantastic generalization measures and where to find them. 2020.
    arXiv:1912.02178. (The granulated coefficient, section 3.2.)
    B. Efron, C. Stein. The jackknife estimate of variance. 1981. doi:10.1214/aos/1176345462.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from flatreg import tables

# What a granulated coefficient lets vary, one after another.
HYPERPARAMETERS = ["protocol", "lambda"]
# Runs that share these share what a seed fixes, and are not independent.
CLUSTER = ["dataset", "seed"]

Coefficient = Callable[[pd.DataFrame, str, str], float]


def tau(runs: pd.DataFrame, x: str, y: str) -> float:
    """Kendall's tau-b of two columns; NaN where one of them does not vary."""
    if len(runs) < 2:
        return float("nan")
    return float(stats.kendalltau(runs[x], runs[y]).statistic)


def partial_tau(runs: pd.DataFrame, x: str, y: str) -> float:
    """The mean of tau over cells: protocol, data set and lambda are held fixed."""
    return _mean_tau(runs, tables.CELL, x, y)


def granulated_tau(runs: pd.DataFrame, x: str, y: str) -> float:
    """The mean over hyperparameters of the mean tau where that one alone varies (Jiang et al.)."""
    whole = [*tables.RUN]
    means = [
        _mean_tau(runs, [name for name in whole if name != varied], x, y)
        for varied in HYPERPARAMETERS
    ]
    return _mean(means)


def _mean_tau(runs: pd.DataFrame, held: list[str], x: str, y: str) -> float:
    return _mean([tau(group, x, y) for _, group in runs.groupby(held, sort=False)])


def _mean(values: list[float]) -> float:
    """The mean of those that are there; NaN of none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def pseudo_values(runs: pd.DataFrame, x: str, y: str, coefficient: Coefficient) -> np.ndarray:
    """A number for each data set's seed, whose mean is the jackknifed coefficient: [clusters].

    A coefficient that cannot be had of a sample counts as 0: no order is no correlation.

    Args:
        runs: with the columns of `tables.RUN`, x and y.
        x: column, of which missing values are left out with their runs.
        y: the other one.
        coefficient: of the above.

    Returns:
        Empty if there are fewer than 3 clusters.
    """
    known = runs.dropna(subset=[x, y])
    clusters = known.groupby(CLUSTER, sort=True).ngroup()
    n = clusters.nunique()
    if n < 3:
        return np.empty(0)

    def found(chosen: pd.DataFrame) -> float:
        value = coefficient(chosen, x, y)
        return 0.0 if np.isnan(value) else value

    without = np.array([found(known[clusters != cluster]) for cluster in range(n)])
    return n * found(known) - (n - 1) * without
