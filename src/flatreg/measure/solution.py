"""A finished run as what looks into its solution needs it: record, data, model and parameters."""

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
from flatreg.disk.runs import load_params
from flatreg.disk.statuses import DIVERGED

# What names a run in its record, in the order of `config.Run`.
NAME = ("protocol", "dataset", "lambda", "seed")


class Solution(NamedTuple):
    """A run that did not diverge.

    Attributes:
        run: its name.
        settings: of `flatreg.config.settings`.
        data: its splits.
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
        UserError: it is missing, or was changed after it was made.
    """
    return read_sealed(folder / "metrics.json")


def has_diverged(record: dict[str, Any]) -> bool:
    """Whether a run stopped before it had parameters to keep."""
    return record["status"] == DIVERGED


def run_columns(record: dict[str, Any]) -> dict[str, Any]:
    """What names a run, and its key: the columns that rows of a run begin with."""
    return {name: record[name] for name in (*NAME, "key")}


def load_solution(study: Config, folder: Path, dataset: Dataset) -> Solution:
    """Load a run that did not diverge.

    Args:
        study: resolved config.
        folder: of the run.
        dataset: what its protocol's data set reads.

    Raises:
        UserError: a file of the run is missing or was changed after it was made.
    """
    record = read_record(folder)
    run = Run(*(record[name] for name in NAME))
    settings = config.settings(study, run)
    data = splits.prepare(dataset, settings)
    model = models.build(settings.model, data.classes)
    return Solution(run, settings, data, model, kept_params(folder, record))


def kept_params(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a run kept.

    Raises:
        UserError: they are missing, or not those of the record.
    """
    path = folder / "params.npz"
    check_sha256(path, record["params.npz_sha256"])
    return load_params(path)


# One stream of random numbers for the choice of examples and one for the probes of each split.
STREAMS = {"train": 0, "test": 1}


def subsets(
    data: Splits, *, examples: int, subset_seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The fixed examples [n, d] and labels [n] that the Hessian is of, by split.

    Args:
        data: of the run.
        examples: of each split; fewer are taken where a split has fewer.
        subset_seed: of their choice.
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
    """The examples and labels that a trained model's flatness is measured on: see `subsets`."""
    return subsets(data, examples=settings.examples, subset_seed=settings.subset_seed)


def probe_key(subset_seed: int, split: str, seed: int) -> jax.Array:
    """The key of a run's probes: shared by the lambdas of a seed, for the seeds independent.

    Were it shared by the seeds too, their mean would have an error that their spread does not show.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(subset_seed), STREAMS[split]), seed)
