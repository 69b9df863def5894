"""Prepare one data set."""

from __future__ import annotations

import sys
from pathlib import Path

from flatreg import command, config
from flatreg.data import prepared
from flatreg.data.sources import SOURCES, reader
from flatreg.disk.files import read_json, write_checked_json


def command_line(config_path: Path, source: str, out: Path, manifest: Path) -> list[str]:
    """The command that prepares a source, for callers other than its rule."""
    files = ["--config", config_path, "--dataset", source, "--out", out, "--manifest", manifest]
    return [sys.executable, "-m", "flatreg.data.prepare", *map(str, files)]


def main() -> None:
    """Read a source from its library and write its array file and manifest."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--dataset", required=True, choices=SOURCES, help="the source")
    parser.add_out("array file (.npz)")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest (JSON)")
    arguments = parser.parse_args()
    settings = config.data_settings(read_json(arguments.config), arguments.dataset)
    data = reader(arguments.dataset)(settings)
    prepared.save(arguments.out, data)
    write_checked_json(arguments.manifest, prepared.manifest(data))


if __name__ == "__main__":
    command.run(main)
