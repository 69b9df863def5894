"""Does flatness go with generalization? `python -m flatreg.evidence.generalization --help`.

Each measure of flatness is correlated with test accuracy and with the gaps between training and
test data: over all runs, over those of each data set, and over those of each main protocol and data
set, whose runs differ in lambda and seed alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from flatreg import statistics, tables
from flatreg.config import main_protocols
from flatreg.errors import UserError, run_command
from flatreg.evidence import correlation, quantities
from flatreg.evidence.tables import CORRELATIONS_TABLE, FLATNESS_TABLE
from flatreg.files import read_json, read_sealed

# Measures that metrics.csv has.
CURVATURE = ("tr_h", "tr_h2", "lambda_max", "parameter_norm")
TARGETS = ("test_accuracy", "accuracy_gap", "loss_gap")
ALL = "all"


def main() -> None:
    """Write flatness.csv and correlations.csv."""
    arguments = _parse()
    study = read_json(arguments.config)
    metrics = tables.read(arguments.metrics, tables.METRICS_TABLE)
    flatness = in_order(metrics, read_cells(arguments.cells))
    runs = with_measures(metrics, flatness)
    measures = [*CURVATURE, *flatness["measure"].unique()]
    done = correlate(runs, measures, main_protocols(study), study["analysis"]["alpha"])
    tables.write(arguments.out_flatness, flatness, FLATNESS_TABLE)
    tables.write(arguments.out, done, CORRELATIONS_TABLE)


def read_cells(paths: list[Path]) -> pd.DataFrame:
    """FLATNESS_TABLE from the files of `flatreg.flatness`.

    Raises:
        UserError: one is missing, or was changed after it was made.
    """
    runs = [run for path in paths for run in read_sealed(path)["runs"]]
    rows = [
        {name: run[name] for name in (*tables.RUN, "key")} | {"measure": measure, "value": value}
        for run in runs
        for measure, value in run["measures"].items()
    ]
    return pd.DataFrame(rows, columns=list(FLATNESS_TABLE.columns))


def in_order(metrics: pd.DataFrame, flatness: pd.DataFrame) -> pd.DataFrame:
    """FLATNESS_TABLE in the order of metrics.csv.

    Raises:
        UserError: a run of metrics.csv that did not diverge has no measures, or a measured run is
            not in it.
    """
    finished = metrics.loc[metrics["status"] != tables.DIVERGED, "key"]
    strangers = set(flatness["key"]) ^ set(finished)
    if strangers:
        raise UserError(
            f"run {min(strangers)} is in metrics.csv or in the tables of flatness, not in both; "
            "make both from the same runs"
        )
    place = pd.Series(range(len(metrics)), index=metrics["key"])
    rows = place[flatness["key"]].argsort(kind="stable").to_numpy()
    return flatness.iloc[rows].reset_index(drop=True)


def with_measures(metrics: pd.DataFrame, flatness: pd.DataFrame) -> pd.DataFrame:
    """A row a run: metrics.csv, the gaps, and a column a measure."""
    wide = flatness.pivot(index="key", columns="measure", values="value")
    return quantities.of_metrics(metrics).join(wide, on="key")


def correlate(
    runs: pd.DataFrame, measures: list[str], protocols: list[str], alpha: float
) -> pd.DataFrame:
    """CORRELATIONS_TABLE.

    Args:
        runs: of `with_measures`.
        measures: columns to correlate.
        protocols: whose data sets have rows of their own.
        alpha: of the intervals.
    """
    rows = [
        {"protocol": protocol, "dataset": dataset, "measure": measure, "target": target}
        | _correlated(chosen, measure, target, alpha)
        for protocol, dataset, chosen in scopes(runs, protocols)
        for measure in measures
        for target in TARGETS
    ]
    return pd.DataFrame(rows, columns=list(CORRELATIONS_TABLE.columns))


def scopes(runs: pd.DataFrame, protocols: list[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Protocol and data set, or all, and their runs."""
    yield ALL, ALL, runs
    for dataset, chosen in runs.groupby("dataset", sort=False):
        yield ALL, str(dataset), chosen
    main = runs[runs["protocol"].isin(protocols)]
    for (protocol, dataset), chosen in main.groupby(["protocol", "dataset"], sort=False):
        yield str(protocol), str(dataset), chosen


def _correlated(runs: pd.DataFrame, measure: str, target: str, alpha: float) -> dict[str, Any]:
    known = runs.dropna(subset=[measure, target])
    whole, partial = (
        statistics.compare_mean(correlation.pseudo_values(known, measure, target, held), 0.0, alpha)
        for held in (correlation.NOTHING, correlation.CELL)
    )
    return {
        "n": len(known),
        "diverged": int((runs["status"] == tables.DIVERGED).sum()),
        "tau": whole.estimate,
        "low": whole.low,
        "high": whole.high,
        "p": whole.p,
        "partial_tau": partial.estimate,
        "partial_low": partial.low,
        "partial_high": partial.high,
        "granulated": correlation.granulated_tau(known, measure, target),
        "note": whole.note or partial.note,
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flatreg.evidence.generalization", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.csv")
    parser.add_argument("--cells", type=Path, nargs="+", required=True, help="flatness of cells")
    parser.add_argument("--out-flatness", type=Path, required=True, help="flatness.csv")
    parser.add_argument("--out", type=Path, required=True, help="correlations.csv")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
