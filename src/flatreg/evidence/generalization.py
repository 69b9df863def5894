"""Does flatness correlate with generalization?

Each measure of flatness is correlated with test accuracy and with the gaps between training and
test data: over all runs, over the runs of each data set, and over the runs of each main protocol on
each data set, which differ only in lambda and seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config, main_protocols
from flatreg.errors import UserError
from flatreg.evidence import correlation
from flatreg.tables import derived
from flatreg.tables.evidence import CORRELATIONS_TABLE

# Measures of flatness in metrics.csv.
CURVATURE = ("tr_h", "tr_h2", "lambda_max", "parameter_norm")
TARGETS = ("test_accuracy", "accuracy_gap", "loss_gap")
ALL = "all"


def correlate_flatness(
    study: Config, metrics: pd.DataFrame, flatness: pd.DataFrame
) -> tuple[pd.DataFrame]:
    """CORRELATIONS_TABLE.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        flatness: the table flatness.csv.

    Raises:
        UserError: see `check_runs`.
    """
    check_runs(metrics, flatness)
    runs = with_measures(metrics, flatness)
    measures = [*CURVATURE, *flatness["measure"].unique()]
    alpha = study["analysis"]["alpha"]
    return (correlate(runs, measures, main_protocols(study), alpha),)


def check_runs(metrics: pd.DataFrame, flatness: pd.DataFrame) -> None:
    """Check that both tables are of the same runs.

    Raises:
        UserError: a run of metrics.csv that did not diverge has no measures, or a measured run is
            not in metrics.csv.
    """
    finished = metrics.loc[metrics["status"] != tables.DIVERGED, "key"]
    if unmatched := set(flatness["key"]) ^ set(finished):
        raise UserError(
            f"run {min(unmatched)} is in only one of metrics.csv and flatness.csv; "
            "make both from the same runs"
        )


def with_measures(metrics: pd.DataFrame, flatness: pd.DataFrame) -> pd.DataFrame:
    """One row per run: metrics.csv, the gaps, and one column per measure of flatness."""
    wide = flatness.pivot(index="key", columns="measure", values="value")
    return derived.of_metrics(metrics).join(wide, on="key")


def correlate(
    runs: pd.DataFrame, measures: list[str], protocols: list[str], alpha: float
) -> pd.DataFrame:
    """CORRELATIONS_TABLE.

    Args:
        runs: of `with_measures`.
        measures: columns to correlate with each target.
        protocols: the main protocols; each of their data sets has its own rows.
        alpha: the intervals cover 1 - alpha.
    """
    rows = [
        {"protocol": protocol, "dataset": dataset, "measure": measure, "target": target}
        | _correlated(scope, measure, target, alpha)
        for protocol, dataset, scope in scopes(runs, protocols)
        for measure in measures
        for target in TARGETS
    ]
    return pd.DataFrame(rows, columns=list(CORRELATIONS_TABLE.columns))


def scopes(runs: pd.DataFrame, protocols: list[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield each scope of a correlation: its protocol and data set (or `ALL`), and its runs."""
    yield ALL, ALL, runs
    for dataset, group in runs.groupby("dataset", sort=False):
        yield ALL, str(dataset), group
    main = runs[runs["protocol"].isin(protocols)]
    for (protocol, dataset), group in main.groupby(["protocol", "dataset"], sort=False):
        yield str(protocol), str(dataset), group


def _correlated(runs: pd.DataFrame, measure: str, target: str, alpha: float) -> dict[str, Any]:
    known = runs.dropna(subset=[measure, target])
    whole, partial = (
        statistics.mean_correlation(correlation.pseudo_values(known, measure, target, held), alpha)
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
