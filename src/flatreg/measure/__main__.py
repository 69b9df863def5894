"""Measure the flatness of trained models: curvature, sharpness, and other measures."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flatreg import command, machine
from flatreg.config import Config, MeasureSettings, measure_settings
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk.files import read_json, write_sealed
from flatreg.measure import sharpness
from flatreg.measure.lanes import Lane, at_a_time
from flatreg.measure.solution import (
    STREAMS,
    Solution,
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
    runs, most = [record.parent for record in arguments.runs], at_a_time()
    for folders in (runs[first : first + most] for first in range(0, len(runs), most)):
        for folder, files in zip(folders, of_runs(study, folders, dataset), strict=True):
            for name, measured in files.items():
                write_sealed(folder / name, measured)
            print(f"measured {folder}", flush=True)


def of_runs(
    study: Config, folders: Sequence[Path], dataset: Dataset
) -> list[dict[str, dict[str, Any]]]:
    """The contents of each run's curvature.json and flatness.json; a diverged one has no measures.

    Curvature is measured on training and on test examples, the other measures on the same training
    examples.

    Args:
        study: the completed config.
        folders: of the runs, all of one protocol and data set.
        dataset: of the runs.

    Raises:
        UserError: files of a run are missing or were changed.
    """
    settings = measure_settings(study)
    records = [read_record(folder) for folder in folders]
    solutions = [
        load_solution(study, folder, dataset)
        for folder, record in zip(folders, records, strict=True)
        if not has_diverged(record)
    ]
    measured = iter(_measures(solutions, settings))
    nothing = dict.fromkeys(STREAMS), {}
    return [
        _files(record, *(nothing if has_diverged(record) else next(measured))) for record in records
    ]


def _measures(
    solutions: Sequence[Solution], settings: MeasureSettings
) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """The curvature of each solution by split, and its other measures."""
    if not solutions:
        return
    model = solutions[0].model
    lanes = {name: [_lane(solution, name, settings) for solution in solutions] for name in STREAMS}
    curvature = {name: measure_curvature(model, own, settings) for name, own in lanes.items()}
    flatness = sharpness.of_models(model, lanes["train"], settings)
    for number, measures in enumerate(flatness):
        yield {name: of_lanes[number] for name, of_lanes in curvature.items()}, measures


def _files(
    record: dict[str, Any], curvature: dict[str, Any], measures: dict[str, float]
) -> dict[str, dict[str, Any]]:
    return {
        "curvature.json": {"key": record["key"], "status": record["status"]} | curvature,
        "flatness.json": run_columns(record) | {"measures": measures},
    }


def _lane(solution: Solution, split: str, settings: MeasureSettings) -> Lane:
    x, y = measured_examples(solution.data, settings)[split]
    key = probe_key(settings.subset_seed, split, solution.run.seed)
    return Lane(solution.params, x, y, key)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_runs()
    parser.add_inputs("data")
    machine.add_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
