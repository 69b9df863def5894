"""Load a finished run to measure its solution: record, data, model and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from flatreg import config, models
from flatreg.config import Config, MeasureSettings, Run, Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.data.splits import Splits
from flatreg.disk.files import check_sha256, read_sealed
from flatreg.disk.finished import KEPT, LAST
from flatreg.disk.runs import load_params
from flatreg.disk.statuses import DIVERGED

# The entries of a record that name the run, in the order of `config.Run`.
NAME = ("protocol", "dataset", "lambda", "seed")


class Solution(NamedTuple):
    """A run that did not diverge.

    Attributes:
        run: its name.
        settings: of `flatreg.config.settings`.
        data: the splits.
        model: of `flatreg.models.build`.
        params: the kept parameters.
    """

    run: Run
    settings: Settings
    data: Splits
    model: nn.Module
    params: dict[str, Any]


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a run, metrics.json.

    Raises:
        UserError: it is missing, or was changed after it was written.
    """
    return read_sealed(folder / "metrics.json")


def has_diverged(record: dict[str, Any]) -> bool:
    """Whether a run diverged and so has no solution."""
    return record["status"] == DIVERGED


def run_columns(record: dict[str, Any]) -> dict[str, Any]:
    """The name and key of a run: the first columns of its rows."""
    return {name: record[name] for name in (*NAME, "key")}


def load_solution(study: Config, folder: Path, dataset: Dataset) -> Solution:
    """Load a run that did not diverge.

    Args:
        study: the completed config.
        folder: of the run.
        dataset: of the run.

    Raises:
        UserError: a file of the run is missing, or was changed after it was written.
    """
    record = read_record(folder)
    run = Run(*(record[name] for name in NAME))
    settings = config.settings(study, run)
    data = splits.prepare(dataset, settings)
    model = models.build(settings.model, data.classes)
    return Solution(run, settings, data, model, params_of(folder, record, KEPT))


def at_last_epoch(solution: Solution, folder: Path, record: dict[str, Any]) -> Solution | None:
    """A solution with the parameters of the run's last epoch; None if the run kept these.

    Raises:
        UserError: a file of the run is missing, or was changed after it was written.
    """
    if record["kept_epoch"] == record["epochs"]:
        return None
    return solution._replace(params=params_of(folder, record, LAST))


def params_of(folder: Path, record: dict[str, Any], name: str) -> dict[str, Any]:
    """The parameters in a file of a run, `KEPT` or `LAST`.

    Raises:
        UserError: they are missing, or their checksum differs from the record's.
    """
    check_sha256(folder / name, record[f"{name}_sha256"])
    return load_params(folder / name)


# Each split has its own random numbers, for the choice of examples and for the probes.
STREAMS = {"train": 0, "test": 1}


def subsets(
    data: Splits, *, examples: int, subset_seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The fixed examples [n, d] and labels [n] over which the Hessian is taken, by split.

    Args:
        data: of the run.
        examples: number from each split; a smaller split gives all of its examples.
        subset_seed: of the choice.
    """
    subset = {}
    for name, split in {"train": data.train, "test": data.test}.items():
        rng = np.random.default_rng([subset_seed, STREAMS[name]])
        size = min(examples, len(split.y))
        rows = np.sort(rng.choice(len(split.y), size=size, replace=False))
        subset[name] = (split.inputs(rows), split.y[rows])
    return subset


def measured_examples(
    data: Splits, settings: MeasureSettings
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The examples and labels on which flatness is measured: see `subsets`."""
    return subsets(data, examples=settings.examples, subset_seed=settings.subset_seed)


def probe_key(subset_seed: int, split: str, seed: int) -> jax.Array:
    """The key of a run's probes: the same for all lambdas of a seed, independent between seeds.

    With one key for all seeds, their mean would have an error that their spread does not show.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(subset_seed), STREAMS[split]), seed)
