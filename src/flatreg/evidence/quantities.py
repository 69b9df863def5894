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
        metrics.csv with `seconds_per_step` (s), `accuracy_gap` (training minus test accuracy),
        `loss_gap` (test minus training loss, nats) and `estimate_ratio`; a diverged run has none of
        them, nor any metric.
    """
    steps = times["steps"].where(times["steps"] > 0).astype(float)
    seconds = times[tables.RUN].assign(seconds_per_step=times["train_seconds"] / steps)
    runs = metrics.merge(seconds, on=tables.RUN, how="left")
    runs = runs.merge(estimates[["key", "estimate_ratio"]], on="key", how="left")
    runs["accuracy_gap"] = runs["train_accuracy"] - runs["test_accuracy"]
    runs["loss_gap"] = runs["test_loss"] - runs["train_loss"]
    measured = [name for name in runs.columns if pd.api.types.is_float_dtype(runs[name])]
    runs[measured] = runs[measured].where(runs["status"] != tables.DIVERGED)
    return runs
