"""What is derived from the tables: quantities of runs, sizes of test sets, ratios of times."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from flatreg import tables
from flatreg.config import BASELINE, Config
from flatreg.disk.files import AGAIN, read_json
from flatreg.errors import UserError


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


def of_test_splits(manifests: list[Path]) -> dict[str, int]:
    """Examples of the test split of each source of data.

    Args:
        manifests: data/SOURCE.json.

    Raises:
        UserError: one is missing, or is no manifest.
    """
    return dict(map(_of_test_split, manifests))


def _of_test_split(path: Path) -> tuple[str, int]:
    manifest = read_json(path)
    try:
        return manifest["source"], manifest["splits"]["test"]["examples"]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is no manifest of a data set; {AGAIN}") from error


def of_test_set(
    config: Config, protocol: str, dataset: str, examples: dict[str, int]
) -> int | None:
    """Examples of the test split of a cell's runs; None where nothing says how many.

    Args:
        config: resolved.
        protocol: of the cell.
        dataset: of the cell.
        examples: of `of_test_splits`.
    """
    settings = config["protocols"][protocol]["datasets"][dataset]
    own = settings.get("test_examples")
    return examples.get(settings["source"]) if own is None else own


def cost_ratios(times: pd.DataFrame) -> pd.DataFrame:
    """Median seconds a step of each cell over that of its lambda = 0.

    Returns:
        Columns protocol, dataset, lambda, ratio; cells without a whole epoch are left out.
    """
    finished = times[times["steps"] > 0]
    a_step = (finished["train_seconds"] / finished["steps"].astype(float)).rename("ratio")
    cells = pd.concat([finished[tables.CELL], a_step], axis=1)
    cells = cells.groupby(tables.CELL, sort=False, as_index=False).median()
    plain = cells[cells["lambda"] == BASELINE].set_index(["protocol", "dataset"])["ratio"]
    cells = cells[cells["lambda"] != BASELINE].join(
        plain.rename("plain"), on=["protocol", "dataset"]
    )
    cells["ratio"] /= cells.pop("plain")
    return cells.dropna().reset_index(drop=True)
