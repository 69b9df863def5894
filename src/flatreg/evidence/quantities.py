"""What claims compare: a row a run, the columns of metrics.csv and what is derived beside them."""

from __future__ import annotations

import pandas as pd

from flatreg import tables


def of_runs(metrics: pd.DataFrame, times: pd.DataFrame, estimates: pd.DataFrame) -> pd.DataFrame:
    """All quantities of all runs.

    Args:
        metrics: of metrics.csv.
        times: of times.csv.
        estimates: of estimates.csv.

    Returns:
        `of_metrics` with `seconds_per_step` (s) and `estimate_ratio`.
    """
    steps = times["steps"].where(times["steps"] > 0).astype(float)
    seconds = times[tables.RUN].assign(seconds_per_step=times["train_seconds"] / steps)
    runs = metrics.merge(seconds, on=tables.RUN, how="left")
    return of_metrics(runs.merge(estimates[["key", "estimate_ratio"]], on="key", how="left"))


def of_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """The quantities that metrics.csv alone gives.

    Args:
        metrics: of metrics.csv; further columns are kept.

    Returns:
        It with `accuracy_gap` (training minus test accuracy) and `loss_gap` (test minus training
        loss, nats); a diverged run has none of them, nor any other number that was measured.
    """
    runs = metrics.assign(
        accuracy_gap=metrics["train_accuracy"] - metrics["test_accuracy"],
        loss_gap=metrics["test_loss"] - metrics["train_loss"],
    )
    measured = [name for name in runs.columns if pd.api.types.is_float_dtype(runs[name])]
    runs[measured] = runs[measured].where(runs["status"] != tables.DIVERGED)
    return runs
