"""Measure the curvature of one trained model."""

from __future__ import annotations

import argparse

from flatreg import command, machine
from flatreg.config import measure_settings
from flatreg.data.dataset import load_dataset
from flatreg.disk.files import read_json, write_sealed
from flatreg.measure.solution import (
    has_diverged,
    load_solution,
    measured_examples,
    probe_key,
    read_record,
)
from flatreg.measure.spectrum import measure_curvature


def main() -> None:
    """Measure on training and on test examples, and write curvature.json."""
    arguments = _parse()
    machine.set_up(arguments)
    study = read_json(arguments.config)
    record = read_record(arguments.run)
    result = {"key": record["key"], "status": record["status"], "train": None, "test": None}
    if not has_diverged(record):
        solution = load_solution(study, arguments.run, load_dataset(arguments.data))
        settings = measure_settings(study)
        for split, (x, y) in measured_examples(solution.data, settings).items():
            key = probe_key(settings.subset_seed, split, solution.run.seed)
            result[split] = measure_curvature(solution.model, solution.params, x, y, key, settings)
    write_sealed(arguments.out, result)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "run", "data")
    machine.add_flags(parser)
    parser.add_out("the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
