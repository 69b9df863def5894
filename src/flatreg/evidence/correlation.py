"""Rank correlations over runs, plain and with hyperparameters held fixed.

References:
    M. G. Kendall. A new measure of rank correlation. 1938. doi:10.1093/biomet/30.1-2.81.
    Y. Jiang et al. Fantastic generalization measures and where to find them. 2020.
    arXiv:1912.02178. (The granulated coefficient, section 3.2.)
    B. Efron, C. Stein. The jackknife estimate of variance. 1981. doi:10.1214/aos/1176345462.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from flatreg import tables

# Columns held fixed in a plain and in a partial correlation.
NOTHING: list[str] = []
CELL = tables.CELL
# A granulated coefficient varies these one at a time.
HYPERPARAMETERS = ["protocol", "lambda"]
# Runs that agree in these share what a seed fixes, so they are not independent.
CLUSTER = ["dataset", "seed"]
# Rows that are compared with all others at a time, to bound the memory.
ROWS = 256
# Rounding of 1 - tau^2 where tau is 1.
ROUNDING = 1e-12


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
    return _jackknife(*_leaving_out(known, x, y, held))


def partial_pseudo_values(runs: pd.DataFrame, x: str, y: str, given: str) -> np.ndarray:
    """Pseudo-values, as above, of Kendall's partial tau of x and y, with a third column held fixed.

    It is (tau_xy - tau_xz tau_yz) / sqrt((1 - tau_xz^2) (1 - tau_yz^2)) with z = `given`, the
    correlation of the signs of pairs of runs that is left when that with z is taken out.
    """
    known = runs.dropna(subset=[x, y, given])
    taus = [_leaving_out(known, *columns, NOTHING) for columns in ((x, y), (x, given), (y, given))]
    return _jackknife(*(_partial(*some) for some in zip(*taus, strict=True)))


def _partial(xy: Any, xz: Any, yz: Any) -> Any:
    """Kendall's partial tau of x and y from the tau of each two of x, y and z.

    Returns:
        NaN where z fixes the order of x or of y.
    """
    left = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > ROUNDING, (xy - xz * yz) / np.sqrt(left), np.nan)


def _leaving_out(
    runs: pd.DataFrame, x: str, y: str, held: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """`tau` of all runs [], and without those of each cluster [clusters]."""
    pairs, groups = runs[[x, y]].to_numpy(float), _groups(runs, held)
    names = _names(runs, CLUSTER)
    clusters = sorted(set(names))
    members = np.array([[name == cluster for cluster in clusters] for name in names])
    members = members.reshape(len(names), len(clusters))
    whole = _mean([_tau(pairs[rows]) for rows in groups])
    reduced = [_taus_without(pairs[rows], members[rows]) for rows in groups]
    by_cluster = np.reshape(reduced, (len(groups), len(clusters))).T
    return np.array(whole), np.array([_mean(list(taus)) for taus in by_cluster])


def _jackknife(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Pseudo-values [clusters]; none of fewer than 3 clusters."""
    n = len(without)
    if n < 3:
        return np.empty(0)
    return n * np.nan_to_num(whole) - (n - 1) * np.nan_to_num(without)


def _groups(runs: pd.DataFrame, held: list[str]) -> list[np.ndarray]:
    """Row numbers of each group of runs that agree in `held`."""
    if not held:
        return [np.arange(len(runs))]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, name in enumerate(_names(runs, held)):
        groups.setdefault(name, []).append(number)
    return list(map(np.array, groups.values()))


def _names(runs: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    """What each run has in these columns."""
    return list(zip(*(runs[column] for column in columns), strict=True))


def _tau(pairs: np.ndarray) -> float:
    """Kendall's tau-b of pairs [n, 2]; NaN where one column does not vary."""
    return float(_taus_without(pairs, np.zeros((len(pairs), 1), bool))[0])


def _taus_without(pairs: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Kendall's tau-b [k] of pairs [n, 2] without each cluster, given the clusters' rows [n, k].

    It is a sum of signs over pairs of rows, so a cluster's rows take away their pairs with all
    rows, each pair within the cluster once.
    """
    starts = range(0, max(len(pairs), 1), ROWS)
    of_rows = np.concatenate([_sums(pairs[s : s + ROWS], pairs) for s in starts], axis=1)
    taken = [
        2 * of_rows[:, rows].sum(axis=1) - _sums(pairs[rows], pairs[rows]).sum(axis=1)
        for rows in map(np.flatnonzero, members.T)
    ]
    with_cluster = np.reshape(taken, (-1, 3)).T
    agreeing, x_differ, y_differ = (of_rows.sum(axis=1, keepdims=True) - with_cluster) / 2
    with np.errstate(invalid="ignore"):
        return np.clip(agreeing / np.sqrt(x_differ) / np.sqrt(y_differ), -1.0, 1.0)


def _sums(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Sums over the rows of [m, 2], for each row of [n, 2], of three numbers [3, n].

    First 1 if both columns order the two rows alike, -1 if not, and 0 where a column is tied; then
    whether the first column differs, and whether the second does.
    """
    x, y = (
        np.greater.outer(a, b).astype(np.int8) - np.less.outer(a, b).astype(np.int8)
        for a, b in zip(some.T, others.T, strict=True)
    )
    return np.stack([np.sum(part, axis=1, dtype=int) for part in (x * y, x * x, y * y)])


def _mean(values: list[float]) -> float:
    """The mean of the values that are not NaN; NaN if there is none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
