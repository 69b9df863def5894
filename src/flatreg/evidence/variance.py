"""How much each source of randomness moves a metric.

A run's seed sets several things at once: initial weights, order of the data, dropout, probes. In a
protocol that extends another and whose seed sets one of them (`varies`), the others are held, so
the variance over its runs is that source's. It stands beside the variance of the own runs of the
extended protocol at the same lambda, and, for an accuracy, beside what a test set of that size
leaves open.

Shares need not sum to 1: sources interact, and each has the others held at one value. The intervals
of the standard deviations are too short with few runs; `flatreg.evidence.calibration` says by how
much.

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
SOURCES = ("initialization", "order", "dropout", "probes", "split", "test_split")
ALL = "all"


class Cell(NamedTuple):
    """Runs that differ in one source of randomness, or, of `ALL`, in what their seed sets."""

    dataset: str
    source: str
    protocol: str
    lam: str


def decompose(
    study: Config, metrics: pd.DataFrame, manifests: list[Path], *, seed: int
) -> tuple[pd.DataFrame]:
    """VARIANCE_TABLE.

    Args:
        study: completed config.
        metrics: of metrics.csv.
        manifests: data/SOURCE.json of the study's sources.
        seed: of the bootstrap.

    Raises:
        UserError: see `cells`, or a manifest is missing or broken.
    """
    return (variance(study, metrics, derived.of_test_splits(manifests), seed),)


def variance(
    config: dict[str, Any], metrics: pd.DataFrame, examples: dict[str, int], seed: int
) -> pd.DataFrame:
    """A row a data set, metric and source; none where no protocol holds all sources but one.

    Args:
        config: resolved.
        metrics: METRICS_TABLE of all runs.
        examples: of the test set of each of the config's sources of data.
        seed: of the bootstrap, which begins anew in each row.

    Raises:
        UserError: see `cells`.
    """
    alpha = config["analysis"]["alpha"]
    found = cells(config)
    rows = []
    for whole, parts in found.items():
        usual = _settings(config, whole)["varies"]
        size = derived.of_test_set(config, whole.protocol, whole.dataset, examples)
        for metric in METRICS:
            first = _row(metrics, whole, metric, alpha, seed) | {"share": 1.0}
            rows.append(_with_sampling_sd(first, size))
            for part in parts:
                row = _row(metrics, part, metric, alpha, seed)
                row = _with_share(row, first["sd"], whole, usual)
                own = derived.of_test_set(config, part.protocol, part.dataset, examples)
                rows.append(_with_sampling_sd(row, own))
    return pd.DataFrame(rows, columns=list(VARIANCE_TABLE.columns))


def cells(config: dict[str, Any]) -> dict[Cell, list[Cell]]:
    """The cells that vary in one source, by the cell of the protocol that theirs extends.

    Raises:
        UserError: such a protocol has more than one lambda or a data set that the extended one has
            not, or two of them are of one data set and source, or extend different cells.
    """
    found: dict[str, dict[Cell, list[Cell]]] = {}
    for name, protocol in config["protocols"].items():
        parent = protocol.get("extends")
        for dataset, chosen in protocol["datasets"].items():
            varies = chosen.get("varies", [])
            if parent is None or len(varies) != 1:
                continue
            where = f"config: protocols.{name}.datasets.{dataset}"
            if len(chosen["lambdas"]) != 1:
                raise UserError(f"{where}.lambdas: {varies[0]} is varied at one lambda; keep one")
            if dataset not in config["protocols"].get(parent, {"datasets": {}})["datasets"]:
                raise UserError(f"{where}: {parent}, which it extends, has no {dataset}; add it")
            whole = Cell(dataset, ALL, parent, chosen["lambdas"][0])
            parts = found.setdefault(dataset, {whole: []})
            _check_alike(where, whole, varies[0], parts)
            parts[whole].append(Cell(dataset, varies[0], name, whole.lam))
    return {
        whole: sorted(parts, key=lambda part: SOURCES.index(part.source))
        for group in found.values()
        for whole, parts in group.items()
    }


def _check_alike(where: str, whole: Cell, source: str, parts: dict[Cell, list[Cell]]) -> None:
    other = next(iter(parts))
    if whole not in parts:
        raise UserError(
            f"{where}: its shares are of {whole.protocol} at lambda {whole.lam}, those before it "
            f"of {other.protocol} at lambda {other.lam}; make them one"
        )
    if source in [part.source for part in parts[whole]]:
        raise UserError(f"{where}: {source} is varied on this data set already; keep one")


def _settings(config: dict[str, Any], cell: Cell) -> dict[str, Any]:
    return config["protocols"][cell.protocol]["datasets"][cell.dataset]


def _row(metrics: pd.DataFrame, cell: Cell, metric: str, alpha: float, seed: int) -> dict[str, Any]:
    """All of a row but its share and the test set's part."""
    name = zip(tables.CELL, (cell.protocol, cell.dataset, cell.lam), strict=True)
    runs = metrics
    for column, value in name:
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
        "source": cell.source,
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
