"""Measure how flat the solutions of a cell's runs are: `python -m flatreg.flatness --help`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flatreg import config, datasets, flatness_measures, measure, models, runtime, splits
from flatreg.config import Config
from flatreg.errors import run_command
from flatreg.files import check_sha256, read_json, read_sealed, write_sealed
from flatreg.runs import load_params


def main() -> None:
    """Measure each run and write the cell's file."""
    arguments = _parse()
    runtime.set_up(arguments)
    study = read_json(arguments.config)
    found = [of_run(study, folder, arguments.data) for folder in arguments.runs]
    write_sealed(arguments.out, {"runs": found})


def of_run(study: Config, folder: Path, data: Path) -> dict[str, Any]:
    """A run's name and key, and its measures on the training examples whose curvature is measured.

    Args:
        study: resolved config.
        folder: of the run; one that diverged has no measures.
        data: prepared data or features of the run.

    Raises:
        UserError: the run's files are missing or were changed.
    """
    record = read_sealed(folder / "metrics.json")
    named = {name: record[name] for name in ("protocol", "dataset", "lambda", "seed", "key")}
    run = config.Run(*list(named.values())[:4])
    if record["status"] == "diverged":
        return named | {"measures": {}}
    check_sha256(folder / "params.npz", record["params.npz_sha256"])
    settings = config.settings(study, run)
    prepared = splits.prepare(datasets.load(data), settings)
    model = models.build(settings["model"], prepared.classes)
    params = load_params(folder / "params.npz")
    x, y = measure.subsets(prepared, study["measure"])["train"]
    return named | {"measures": flatness_measures.of_model(model, params, x, y, study["measure"])}


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
