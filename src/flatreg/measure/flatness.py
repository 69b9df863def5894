"""Measure the flatness of a cell's runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flatreg import command, machine
from flatreg.config import Config, measure_settings
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk.files import read_json, write_sealed
from flatreg.measure import sharpness
from flatreg.measure.solution import (
    has_diverged,
    load_solution,
    measured_examples,
    read_record,
    run_columns,
)


def main() -> None:
    """Measure each run and write the cell's file."""
    arguments = _parse()
    machine.set_up(arguments)
    study, dataset = read_json(arguments.config), load_dataset(arguments.data)
    runs = [of_run(study, folder, dataset) for folder in arguments.runs]
    write_sealed(arguments.out, {"runs": runs})


def of_run(study: Config, folder: Path, dataset: Dataset) -> dict[str, Any]:
    """A run's name and key, and its measures on the same training examples as its curvature.

    Args:
        study: the completed config.
        folder: of the run; a diverged run has no measures.
        dataset: of the run.

    Raises:
        UserError: the run's files are missing or were changed.
    """
    record = read_record(folder)
    if has_diverged(record):
        return run_columns(record) | {"measures": {}}
    solution, settings = load_solution(study, folder, dataset), measure_settings(study)
    x, y = measured_examples(solution.data, settings)["train"]
    measures = sharpness.of_model(solution.model, solution.params, x, y, settings)
    return run_columns(record) | {"measures": measures}


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--runs", type=Path, required=True, nargs="+", help="the runs' folders")
    parser.add_inputs("data")
    machine.add_flags(parser)
    parser.add_out("the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
