"""Compute one table of the evidence, and those computed together with it."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from flatreg import command, tables
from flatreg.disk.files import read_json
from flatreg.tables.registry import EVIDENCE, ROWS, TABLES, read_named


def main() -> None:
    """Read the inputs, compute the tables and write them."""
    arguments = _parse()
    row = ROWS[arguments.name]
    module, _, function = row.function.partition(".")
    compute = getattr(import_module(f"flatreg.evidence.{module}"), function)
    contents = [read_input(name, getattr(arguments, name)) for name in row.inputs]
    options = {name: getattr(arguments, name) for name in row.options}
    frames = compute(read_json(arguments.config), *contents, **options)
    for name, frame in zip(row.tables, frames, strict=True):
        tables.write(arguments.out / f"{name}.csv", frame, EVIDENCE[name])


def read_input(name: str, paths: list[Path]) -> Any:
    """Read an input that is a table of the study; return the paths of any other input.

    Raises:
        UserError: the table is missing, was changed after it was made, or a value is out of range.
    """
    return read_named(paths[0], name) if name in TABLES else paths


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    names = parser.add_names()
    for name, row in ROWS.items():
        captions = " ".join(table.caption for table in row.tables.values() if table.label)
        # argparse fills in `%` in help texts.
        table = names.add_parser(name, help=captions.replace("%", "%%"), description=captions)
        table.add_argument("--config", type=Path, required=True, help=command.INPUTS["config"])
        for flag in row.inputs:
            table.add_argument(f"--{flag.replace('_', '-')}", type=Path, required=True, nargs="+")
        for flag, (default, meaning) in row.options.items():
            table.add_argument(f"--{flag}", type=int, default=default, help=meaning)
        table.add_argument("--out", type=Path, required=True, help="folder of the tables")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
