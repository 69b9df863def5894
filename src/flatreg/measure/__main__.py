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
    at_last_epoch,
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

    Curvature is measured on training and on test examples, and on training examples with the
    parameters of the last epoch; the other measures on training examples.

    Args:
        study: the completed config.
        folders: of the runs, all of one protocol and data set.
        dataset: of the runs.

    Raises:
        UserError: files of a run are missing or were changed.
    """
    records = [read_record(folder) for folder in folders]
    solutions, ended = [], []
    for folder, record in zip(folders, records, strict=True):
        if not has_diverged(record):
            solutions.append(load_solution(study, folder, dataset))
            ended.append(at_last_epoch(solutions[-1], folder, record))
    measured = iter(_measures(solutions, ended, measure_settings(study)))
    nothing = dict.fromkeys((*STREAMS, "last")), {}
    return [
        _files(record, *(nothing if has_diverged(record) else next(measured))) for record in records
    ]


def _measures(
    solutions: Sequence[Solution], ended: Sequence[Solution | None], settings: MeasureSettings
) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """The curvature of each solution by split and at the last epoch, and its other measures.

    Args:
        solutions: all of one model.
        ended: of `at_last_epoch`, for each; what is the same is measured once.
        settings: of the measurement.
    """
    if not solutions:
        return
    model = solutions[0].model
    lanes = {name: [_lane(solution, name, settings) for solution in solutions] for name in STREAMS}
    curvature = {name: measure_curvature(model, own, settings) for name, own in lanes.items()}
    others = [_lane(solution, "train", settings) for solution in ended if solution is not None]
    last = iter(measure_curvature(model, others, settings) if others else [])
    flatness = sharpness.of_models(model, lanes["train"], settings)
    for number, measures in enumerate(flatness):
        own = {name: of_lanes[number] for name, of_lanes in curvature.items()}
        own["last"] = own["train"] if ended[number] is None else next(last)
        yield own, measures


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
