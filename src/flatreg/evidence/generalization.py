"""Does flatness correlate with generalization?

Each measure of flatness is correlated with test accuracy and with the gaps between training and
test data: over all runs, over the runs of each data set, and over the runs of each main protocol on
each data set, which differ only in lambda and seed. Lambda moves flatness and accuracy at once, so
each correlation stands beside one with lambda held fixed, and beside one with training accuracy
held fixed. Fit and size explain generalization too: training accuracy, training loss and the norm
of the parameters are rivals, correlated in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config, main_protocols
from flatreg.errors import UserError
from flatreg.evidence import correlation
from flatreg.tables import derived
from flatreg.tables.evidence import CORRELATIONS_TABLE

# Measures of flatness in metrics.csv, of the kept parameters.
CURVATURE = ("tr_h", "tr_h2", "lambda_max")
# What explains generalization without flatness, likewise.
RIVALS = ("train_accuracy", "train_loss", "parameter_norm")
FIT = "train_accuracy"
TARGETS = ("test_accuracy", "accuracy_gap", "loss_gap")
# Before the names of columns of the last epoch's parameters, which have fewer measures.
LAST = "last_"
OF_LAST = {"tr_h2": "flatness", "lambda_max": "flatness"} | dict.fromkeys(RIVALS, "rival")
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
    kinds = dict.fromkeys([*CURVATURE, *flatness["measure"].unique()], "flatness")
    kinds |= dict.fromkeys(RIVALS, "rival")
    kinds |= {f"{LAST}{measure}": kind for measure, kind in OF_LAST.items()}
    return (correlate(runs, kinds, main_protocols(study), study["analysis"]["alpha"]),)


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
    runs: pd.DataFrame, kinds: dict[str, str], protocols: list[str], alpha: float
) -> pd.DataFrame:
    """CORRELATIONS_TABLE.

    Args:
        runs: of `with_measures`.
        kinds: columns to correlate with each target, each "flatness" or a "rival" of it. Those of
            the last epoch are correlated with the targets of the last epoch.
        protocols: the main protocols; each of their data sets has its own rows.
        alpha: the intervals cover 1 - alpha.
    """
    rows = [
        {"protocol": protocol, "dataset": dataset, "measure": measure, "kind": kind}
        | {"target": target}
        | _correlated(scope, measure, target, alpha)
        for protocol, dataset, scope in scopes(runs, protocols)
        for measure, kind in kinds.items()
        for target in (f"{_epoch(measure)}{name}" for name in TARGETS)
    ]
    return pd.DataFrame(rows, columns=list(CORRELATIONS_TABLE.columns))


def _epoch(measure: str) -> str:
    """What stands before the columns of the same parameters as a measure's."""
    return LAST if measure.startswith(LAST) else ""


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
    whole, partial, given_fit = (
        statistics.mean_correlation(values, alpha)
        for values in (
            correlation.pseudo_values(known, measure, target, correlation.NOTHING),
            correlation.pseudo_values(known, measure, target, correlation.CELL),
            _at_equal_fit(known, measure, target),
        )
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
        "fit_tau": given_fit.estimate,
        "fit_low": given_fit.low,
        "fit_high": given_fit.high,
        "granulated": correlation.granulated_tau(known, measure, target),
        "note": whole.note or partial.note,
    }


def _at_equal_fit(runs: pd.DataFrame, measure: str, target: str) -> np.ndarray:
    """Pseudo-values of the partial tau with training accuracy held fixed; none of that itself."""
    fit = f"{_epoch(measure)}{FIT}"
    return (
        np.empty(0)
        if measure == fit
        else correlation.partial_pseudo_values(runs, measure, target, fit)
    )
