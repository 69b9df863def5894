"""Quantities derived from the tables: gaps and times of runs, sizes of test sets, cost ratios."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from flatreg import tables
from flatreg.config import BASELINE, Config
from flatreg.disk.files import AGAIN, read_json
from flatreg.errors import UserError


def of_runs(metrics: pd.DataFrame, times: pd.DataFrame, estimates: pd.DataFrame) -> pd.DataFrame:
    """All quantities of all runs, one row per run.

    Args:
        metrics: the table metrics.csv.
        times: the table times.csv.
        estimates: the table estimates.csv.

    Returns:
        `of_metrics` with the columns `seconds_per_step` (s) and `estimate_ratio` added.
    """
    steps = times["steps"].where(times["steps"] > 0).astype(float)
    seconds = times[tables.RUN].assign(seconds_per_step=times["train_seconds"] / steps)
    runs = metrics.merge(seconds, on=tables.RUN, how="left")
    return of_metrics(runs.merge(estimates[["key", "estimate_ratio"]], on="key", how="left"))


def of_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """The quantities that follow from metrics.csv alone, one row per run.

    Args:
        metrics: the table metrics.csv; further columns are kept.

    Returns:
        The table with the columns `accuracy_gap` (training minus test accuracy) and `loss_gap`
        (test minus training loss, nats) added. Every measured number of a diverged run is NaN.
    """
    runs = metrics.assign(
        accuracy_gap=metrics["train_accuracy"] - metrics["test_accuracy"],
        loss_gap=metrics["test_loss"] - metrics["train_loss"],
    )
    measured = [name for name in runs.columns if pd.api.types.is_float_dtype(runs[name])]
    runs[measured] = runs[measured].where(runs["status"] != tables.DIVERGED)
    return runs


def of_test_splits(manifests: list[Path]) -> dict[str, int]:
    """Number of examples in the test split of each source.

    Args:
        manifests: data/SOURCE.json.

    Raises:
        UserError: a file is missing, or is not a manifest.
    """
    return dict(map(_of_test_split, manifests))


def _of_test_split(path: Path) -> tuple[str, int]:
    manifest = read_json(path)
    try:
        return manifest["source"], manifest["splits"]["test"]["examples"]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is not a manifest of a data set; {AGAIN}") from error


def of_test_set(study: Config, protocol: str, dataset: str, examples: dict[str, int]) -> int | None:
    """Number of test examples of a cell's runs, None if unknown.

    Args:
        study: completed config.
        protocol: of the cell.
        dataset: of the cell.
        examples: of `of_test_splits`.
    """
    settings = study["protocols"][protocol]["datasets"][dataset]
    own = settings.get("test_examples")
    return examples.get(settings["source"]) if own is None else own


def cost_ratios(times: pd.DataFrame) -> pd.DataFrame:
    """Median seconds per step of each cell with lambda above 0, over that at lambda 0.

    Returns:
        Columns protocol, dataset, lambda, ratio; cells without steps, or whose baseline has none,
        are left out.
    """
    finished = times[times["steps"] > 0]
    per_step = (finished["train_seconds"] / finished["steps"].astype(float)).rename("ratio")
    cells = pd.concat([finished[tables.CELL], per_step], axis=1)
    cells = cells.groupby(tables.CELL, sort=False, as_index=False).median()
    plain = cells[cells["lambda"] == BASELINE].set_index(["protocol", "dataset"])["ratio"]
    cells = cells[cells["lambda"] != BASELINE].join(
        plain.rename("plain"), on=["protocol", "dataset"]
    )
    cells["ratio"] /= cells.pop("plain")
    return cells.dropna().reset_index(drop=True)
