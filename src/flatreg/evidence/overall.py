"""The effect of lambda over all data sets, and the uncertainty from finite test sets.

Before pooling, an accuracy is divided by the mean at lambda 0 on the same data set, so that easy
data sets do not count more. A second table gives, for each cell, the interval that the size of the
test set leaves for the accuracy of one trained model; the spread over seeds does not show it.

References:
    R. Agarwal et al. Deep reinforcement learning at the edge of the statistical precipice. 2021.
    arXiv:2108.13264.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import BASELINE, Config, main_protocols
from flatreg.tables import derived
from flatreg.tables.evidence import OVERALL_TABLE, TEST_SETS_TABLE

ACCURACY = "test_accuracy"


def pool_datasets(
    study: Config, metrics: pd.DataFrame, manifests: list[Path], *, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """OVERALL_TABLE and TEST_SETS_TABLE.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        manifests: data/SOURCE.json of the study's sources.
        seed: of the bootstrap.

    Raises:
        UserError: a manifest is missing or broken.
    """
    examples = derived.of_test_splits(manifests)
    pooled = overall(metrics, main_protocols(study), study["analysis"]["alpha"], seed)
    return pooled, left_open_by_size(study, metrics, examples)


def overall(metrics: pd.DataFrame, protocols: list[str], alpha: float, seed: int) -> pd.DataFrame:
    """OVERALL_TABLE: one row per protocol and lambda above 0.

    Args:
        metrics: the table metrics.csv.
        protocols: protocols to include.
        alpha: the intervals are meant to cover 1 - alpha.
        seed: of the bootstrap; every row starts from it.
    """
    finished = metrics[metrics["status"] != tables.DIVERGED]
    rows = [
        {"protocol": protocol, "lambda": lam} | _row(own, lam, alpha, seed)
        for protocol in protocols
        for own in [finished[finished["protocol"] == protocol]]
        for lam in dict.fromkeys(own["lambda"])
        if lam != BASELINE
    ]
    return pd.DataFrame(rows, columns=list(OVERALL_TABLE.columns))


def _row(runs: pd.DataFrame, lam: str, alpha: float, seed: int) -> dict[str, Any]:
    samples = {str(name): group for name, group in runs.groupby("dataset", sort=False)}
    sides = {
        name: (_ratios(group, lam), _ratios(group, BASELINE)) for name, group in samples.items()
    }
    both = {name: pair for name, pair in sides.items() if all(len(side) for side in pair)}
    treated, baseline = ([pair[i] for pair in both.values()] for i in (0, 1))
    middle = statistics.interquartile_mean(treated, alpha, np.random.default_rng(seed))
    better = statistics.probability_of_improvement(
        treated, baseline, alpha, np.random.default_rng(seed)
    )
    return {
        "datasets": " ".join(both) or "none",
        "n": sum(map(len, treated)),
        "iqm": middle.estimate,
        "iqm_low": middle.low,
        "iqm_high": middle.high,
        "improvement": better.estimate,
        "improvement_low": better.low,
        "improvement_high": better.high,
        "note": middle.note or better.note,
    }


def _ratios(runs: pd.DataFrame, lam: str) -> np.ndarray:
    """Accuracies at a lambda divided by the data set's mean at lambda 0."""
    plain = runs.loc[runs["lambda"] == BASELINE, ACCURACY].mean()
    return (runs.loc[runs["lambda"] == lam, ACCURACY].dropna() / plain).to_numpy(float)


def left_open_by_size(
    study: Config, metrics: pd.DataFrame, examples: dict[str, int]
) -> pd.DataFrame:
    """TEST_SETS_TABLE: per cell the interval that the test set's size leaves for the mean accuracy.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        examples: size of the test split of each source.
    """
    alpha = study["analysis"]["alpha"]
    rows = []
    for (protocol, dataset, lam), cell in metrics.groupby(tables.CELL, sort=False):
        sample = cell.loc[cell["status"] != tables.DIVERGED, ACCURACY].dropna()
        size = derived.of_test_set(study, protocol, dataset, examples)
        row = {"protocol": protocol, "dataset": dataset, "lambda": lam, "examples": size}
        row |= {"n": len(sample), "mean": sample.mean(), "sd": sample.std()}
        if len(sample) and size:
            correct = round(float(sample.mean()) * size)
            interval = statistics.accuracy_interval(correct, size, alpha)
            row |= {"low": interval.low, "high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(TEST_SETS_TABLE.columns))
