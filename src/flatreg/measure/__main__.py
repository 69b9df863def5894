"""Measure the flatness of trained models: curvature, sharpness, and other measures."""

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
    probe_key,
    read_record,
    run_columns,
)
from flatreg.measure.spectrum import measure_curvature


def main() -> None:
    """Measure each run, and write curvature.json and flatness.json beside its record."""
    arguments = _parse()
    machine.set_up(arguments)
    study, dataset = read_json(arguments.config), load_dataset(arguments.data)
    for record in arguments.runs:
        for name, measured in of_run(study, record.parent, dataset).items():
            write_sealed(record.with_name(name), measured)
        print(f"measured {record.parent}", flush=True)


def of_run(study: Config, folder: Path, dataset: Dataset) -> dict[str, dict[str, Any]]:
    """The contents of a run's curvature.json and flatness.json; a diverged run has no measures.

    Curvature is measured on training and on test examples, the other measures on the same training
    examples.

    Args:
        study: the completed config.
        folder: of the run.
        dataset: of the run.

    Raises:
        UserError: the run's files are missing or were changed.
    """
    record = read_record(folder)
    curvature = {"key": record["key"], "status": record["status"], "train": None, "test": None}
    flatness = run_columns(record) | {"measures": {}}
    if not has_diverged(record):
        solution, settings = load_solution(study, folder, dataset), measure_settings(study)
        model, params = solution.model, solution.params
        examples = measured_examples(solution.data, settings)
        for split, (x, y) in examples.items():
            key = probe_key(settings.subset_seed, split, solution.run.seed)
            curvature[split] = measure_curvature(model, params, x, y, key, settings)
        flatness["measures"] = sharpness.of_model(model, params, *examples["train"], settings)
    return {"curvature.json": curvature, "flatness.json": flatness}


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_runs()
    parser.add_inputs("data")
    machine.add_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
