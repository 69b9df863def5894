"""Measure how flat the solutions of a cell's runs are: `python -m flatreg.flatness --help`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flatreg import datasets, flatness_measures, measure, runtime, trained
from flatreg.config import Config
from flatreg.datasets import Dataset
from flatreg.errors import run_command
from flatreg.files import read_json, write_sealed


def main() -> None:
    """Measure each run and write the cell's file."""
    arguments = _parse()
    runtime.set_up(arguments)
    study, dataset = read_json(arguments.config), datasets.load(arguments.data)
    found = [of_run(study, folder, dataset) for folder in arguments.runs]
    write_sealed(arguments.out, {"runs": found})


def of_run(study: Config, folder: Path, dataset: Dataset) -> dict[str, Any]:
    """A run's name and key, and its measures on the training examples whose curvature is measured.

    Args:
        study: resolved config.
        folder: of the run; one that diverged has no measures.
        dataset: what the run reads.

    Raises:
        UserError: the run's files are missing or were changed.
    """
    record = trained.read_record(folder)
    if trained.has_diverged(record):
        return trained.named(record) | {"measures": {}}
    done = trained.load(study, folder, dataset)
    x, y = measure.subsets(done.data, study["measure"])["train"]
    found = flatness_measures.of_model(done.model, done.params, x, y, study["measure"])
    return trained.named(record) | {"measures": found}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flatreg.flatness", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--runs", type=Path, required=True, nargs="+", help="the runs' folders")
    parser.add_argument("--data", type=Path, required=True, help="prepared data or features")
    runtime.add_flags(parser)
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
