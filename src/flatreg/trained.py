"""A finished run as what looks into its solution needs it: record, data, model and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn

from flatreg import config, models, splits
from flatreg.config import Config, Run
from flatreg.datasets import Dataset
from flatreg.files import check_sha256, read_sealed
from flatreg.runs import load_params
from flatreg.splits import Splits

# What names a run in its record, in the order of `config.Run`.
NAME = ("protocol", "dataset", "lambda", "seed")


class Trained(NamedTuple):
    """A run that did not diverge.

    Attributes:
        run: its name.
        settings: of `flatreg.config.settings`.
        data: its splits.
        model: of `flatreg.models.build`.
        params: the kept parameters.
    """

    run: Run
    settings: Config
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
    return record["status"] == "diverged"


def named(record: dict[str, Any]) -> dict[str, Any]:
    """What names a run, and its key: the columns that rows of a run begin with."""
    return {name: record[name] for name in (*NAME, "key")}


def load(study: Config, folder: Path, dataset: Dataset) -> Trained:
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
    model = models.build(settings["model"], data.classes)
    return Trained(run, settings, data, model, kept_params(folder, record))


def kept_params(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a run kept.

    Raises:
        UserError: they are missing, or not those of the record.
    """
    path = folder / "params.npz"
    check_sha256(path, record["params.npz_sha256"])
    return load_params(path)
