"""How much of a metric's variance each cause of randomness explains.

A run's seed sets several causes at once: initial weights, order of the data, dropout, probes. A
protocol can extend another and let the seed set only one of them (`varies`). The others are then
fixed, so the variance over its runs is due to that cause. The table compares it with the variance
over the runs of the extended protocol at the same lambda and, for an accuracy, with the binomial
standard deviation of the test set.

Shares need not sum to 1: causes interact, and each is varied with the others fixed at one value.
With few runs the intervals of the standard deviations are too short; `flatreg.evidence.calibration`
measures by how much.

References:
    X. Bouthillier et al. Accounting for variance in machine learning benchmarks. 2021.
    arXiv:2103.03098.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config
from flatreg.errors import UserError
from flatreg.tables import derived
from flatreg.tables.evidence import VARIANCE_TABLE

METRICS = ("test_accuracy", "test_loss", "tr_h2")
CAUSES = ("initialization", "order", "dropout", "probes", "split", "test_split")
ALL = "all"


class Cell(NamedTuple):
    """Runs that differ in one cause of randomness, or, for `ALL`, in all that their seed sets."""

    dataset: str
    cause: str
    protocol: str
    lam: str


def decompose(
    study: Config, metrics: pd.DataFrame, manifests: list[Path], *, seed: int
) -> tuple[pd.DataFrame]:
    """VARIANCE_TABLE.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        manifests: data/SOURCE.json of the study's sources.
        seed: of the bootstrap.

    Raises:
        UserError: see `cells`, or a manifest is missing or broken.
    """
    return (variance(study, metrics, derived.of_test_splits(manifests), seed),)


def variance(
    study: Config, metrics: pd.DataFrame, examples: dict[str, int], seed: int
) -> pd.DataFrame:
    """One row per data set, metric and cause; empty if no protocol varies a single cause.

    Args:
        study: completed config.
        metrics: METRICS_TABLE of all runs.
        examples: size of the test split of each source.
        seed: of the bootstrap; every row starts from it.

    Raises:
        UserError: see `cells`.
    """
    alpha = study["analysis"]["alpha"]
    rows = []
    for whole, parts in cells(study).items():
        usual = _settings(study, whole)["varies"]
        size = derived.of_test_set(study, whole.protocol, whole.dataset, examples)
        for metric in METRICS:
            first = _row(metrics, whole, metric, alpha, seed) | {"share": 1.0}
            rows.append(_with_sampling_sd(first, size))
            for part in parts:
                row = _row(metrics, part, metric, alpha, seed)
                row = _with_share(row, first["sd"], whole, usual)
                own = derived.of_test_set(study, part.protocol, part.dataset, examples)
                rows.append(_with_sampling_sd(row, own))
    return pd.DataFrame(rows, columns=list(VARIANCE_TABLE.columns))


def cells(study: Config) -> dict[Cell, list[Cell]]:
    """The cells that vary in one cause, grouped by the cell that they extend.

    Raises:
        UserError: a protocol that varies one cause has several lambdas or a data set that the
            extended protocol lacks, repeats a cause of the same data set, or extends another cell
            than the protocols before it.
    """
    by_dataset: dict[str, dict[Cell, list[Cell]]] = {}
    for name, protocol in study["protocols"].items():
        parent = protocol.get("extends")
        for dataset, entry in protocol["datasets"].items():
            varies = entry.get("varies", [])
            if parent is None or len(varies) != 1:
                continue
            where = f"config: protocols.{name}.datasets.{dataset}"
            if len(entry["lambdas"]) != 1:
                raise UserError(f"{where}.lambdas: {varies[0]} is varied at one lambda; keep one")
            if dataset not in study["protocols"].get(parent, {"datasets": {}})["datasets"]:
                raise UserError(f"{where}: {parent}, which it extends, has no {dataset}; add it")
            whole = Cell(dataset, ALL, parent, entry["lambdas"][0])
            parts = by_dataset.setdefault(dataset, {whole: []})
            _check_alike(where, whole, varies[0], parts)
            parts[whole].append(Cell(dataset, varies[0], name, whole.lam))
    return {
        whole: sorted(parts, key=lambda part: CAUSES.index(part.cause))
        for group in by_dataset.values()
        for whole, parts in group.items()
    }


def _check_alike(where: str, whole: Cell, cause: str, parts: dict[Cell, list[Cell]]) -> None:
    other = next(iter(parts))
    if whole not in parts:
        raise UserError(
            f"{where}: extends {whole.protocol} at lambda {whole.lam}, but protocols before it "
            f"extend {other.protocol} at lambda {other.lam}; use one for all"
        )
    if cause in [part.cause for part in parts[whole]]:
        raise UserError(f"{where}: {cause} is varied on this data set already; keep one")


def _settings(study: Config, cell: Cell) -> dict[str, Any]:
    return study["protocols"][cell.protocol]["datasets"][cell.dataset]


def _row(metrics: pd.DataFrame, cell: Cell, metric: str, alpha: float, seed: int) -> dict[str, Any]:
    """A row without its share and its binomial standard deviation."""
    runs = metrics
    for column, value in zip(tables.CELL, (cell.protocol, cell.dataset, cell.lam), strict=True):
        runs = runs[runs[column] == value]
    diverged = runs["status"] == tables.DIVERGED
    sample = runs.loc[~diverged, metric].dropna().to_numpy(dtype=float)
    summary = statistics.summarize(sample, alpha)
    interval = statistics.bca_interval(
        (sample,), statistics.standard_deviation, alpha, np.random.default_rng(seed)
    )
    return {
        "dataset": cell.dataset,
        "metric": metric,
        "source": cell.cause,
        "protocol": cell.protocol,
        "lambda": cell.lam,
        "n": len(sample),
        "diverged": int(diverged.sum()),
        "mean": summary.mean,
        "sd": summary.sd,
        "low": interval.low,
        "high": interval.high,
        "note": interval.note,
    }


def _with_share(
    row: dict[str, Any], whole_sd: float, whole: Cell, usual: list[str]
) -> dict[str, Any]:
    note = row["note"]
    if row["source"] not in usual:
        note = _joined(
            note, f"{row['source']} is held in {whole.protocol}: no part of its variance"
        )
    if not whole_sd > 0:
        note = _joined(note, f"no share: {whole.protocol}'s runs have no spread")
        return row | {"share": float("nan"), "note": note}
    return row | {"share": (row["sd"] / whole_sd) ** 2, "note": note}


def _with_sampling_sd(row: dict[str, Any], examples: int | None) -> dict[str, Any]:
    if row["metric"] != "test_accuracy":
        return row
    if examples is None:
        return row | {"note": _joined(row["note"], "no manifest says how large the test set is")}
    return row | {"sampling_sd": statistics.sampling_sd(row["mean"], examples)}


def _joined(note: str | None, more: str) -> str:
    return more if note is None else f"{note}; {more}"
