"""Quantities derived from the tables: gaps of runs, sizes of test sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from flatreg import tables
from flatreg.config import Config
from flatreg.disk.files import AGAIN, read_json
from flatreg.errors import UserError

T = TypeVar("T")


def of_runs(metrics: pd.DataFrame, estimates: pd.DataFrame) -> pd.DataFrame:
    """All quantities of all runs, one row per run.

    Args:
        metrics: the table metrics.csv.
        estimates: the table estimates.csv.

    Returns:
        `of_metrics` with the column `estimate_ratio` added.
    """
    return of_metrics(metrics.merge(estimates[["key", "estimate_ratio"]], on="key", how="left"))


def of_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """The quantities that follow from metrics.csv alone, one row per run.

    Args:
        metrics: the table metrics.csv; further columns are kept.

    Returns:
        The table with the columns `accuracy_gap` (training minus test accuracy) and `loss_gap`
        (test minus training loss, nats) added, those of the last epoch, and `diverged` (1 or 0).
        Every measured number of a diverged run is NaN.
    """
    gaps = {}
    for last in ("", "last_"):
        train, test = f"{last}train", f"{last}test"
        gaps[f"{last}accuracy_gap"] = metrics[f"{train}_accuracy"] - metrics[f"{test}_accuracy"]
        gaps[f"{last}loss_gap"] = metrics[f"{test}_loss"] - metrics[f"{train}_loss"]
    runs = metrics.assign(**gaps)
    measured = [name for name in runs.columns if pd.api.types.is_float_dtype(runs[name])]
    diverged = runs["status"] == tables.DIVERGED
    runs[measured] = runs[measured].where(~diverged)
    return runs.assign(diverged=diverged.astype(float))


def of_test_splits(manifests: list[Path]) -> dict[str, int]:
    """Number of examples in the test split of each source.

    Args:
        manifests: data/SOURCE.json.

    Raises:
        UserError: a file is missing, or is not a manifest.
    """
    return _of_manifests(manifests, lambda split: split["examples"])


def commonest_shares(manifests: list[Path]) -> dict[str, float]:
    """Accuracy of always naming the commonest class of the test split, of each source.

    Args:
        manifests: data/SOURCE.json.

    Raises:
        UserError: a file is missing, or is not a manifest.
    """
    return _of_manifests(
        manifests, lambda split: max(split["class_counts"].values()) / split["examples"]
    )


def _of_manifests(paths: list[Path], of_split: Callable[[dict[str, Any]], T]) -> dict[str, T]:
    """A quantity of the test split of each source.

    Raises:
        UserError: a file is missing, or is not a manifest.
    """
    found = {}
    for path in paths:
        manifest = read_json(path)
        try:
            found[manifest["source"]] = of_split(manifest["splits"]["test"])
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise UserError(f"{path} is not a manifest of a data set; {AGAIN}") from error
    return found


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
