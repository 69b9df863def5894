"""Measure how flat the solutions of a cell's runs are: `python -m flatreg.flatness --help`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from flatreg import config, datasets, flatness_measures, measure, models, runtime, splits, tables
from flatreg.config import Config
from flatreg.errors import run_command
from flatreg.evidence.tables import FLATNESS_TABLE
from flatreg.files import check_sha256, read_json, read_sealed
from flatreg.runs import load_params


def main() -> None:
    """Write a table with a row a run and measure."""
    arguments = _parse()
    runtime.set_up(arguments)
    study = read_json(arguments.config)
    rows = [row for folder in arguments.runs for row in of_run(study, folder, arguments.data)]
    tables.write(
        arguments.out, pd.DataFrame(rows, columns=list(FLATNESS_TABLE.columns)), FLATNESS_TABLE
    )


def of_run(study: Config, folder: Path, data: Path) -> list[dict[str, Any]]:
    """Rows of FLATNESS_TABLE, on the training examples whose curvature is measured.

    Args:
        study: resolved config.
        folder: of the run; one that diverged has no rows.
        data: prepared data or features of the run.

    Raises:
        UserError: the run's files are missing or were changed.
    """
    record = read_sealed(folder / "metrics.json")
    if record["status"] == tables.DIVERGED:
        return []
    check_sha256(folder / "params.npz", record["params.npz_sha256"])
    run = config.Run(*(record[name] for name in tables.RUN))
    settings = config.settings(study, run)
    prepared = splits.prepare(datasets.load(data), settings)
    model = models.build(settings["model"], prepared.classes)
    params = load_params(folder / "params.npz")
    x, y = measure.subsets(prepared, study["measure"])["train"]
    named = {name: record[name] for name in (*tables.RUN, "key")}
    return [
        named | {"measure": name, "value": value}
        for name, value in flatness_measures.of_model(model, params, x, y, study["measure"]).items()
    ]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flatreg.flatness", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--runs", type=Path, required=True, nargs="+", help="the runs' folders")
    parser.add_argument("--data", type=Path, required=True, help="prepared data or features")
    runtime.add_flags(parser)
    parser.add_argument("--out", type=Path, required=True, help="the table (CSV)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
