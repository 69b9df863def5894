"""Prepare one data set: `python -m flatreg.prepare --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

from flatreg import config, datasets
from flatreg.checksums import write_checked_json
from flatreg.datasets import prepared
from flatreg.errors import run_command
from flatreg.files import read_json


def main() -> None:
    """Read a source from its library and write its array file and manifest."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.prepare", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--dataset", required=True, choices=datasets.SOURCES, help="the source")
    parser.add_argument("--out", type=Path, required=True, help="array file (.npz)")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest (JSON)")
    arguments = parser.parse_args()
    settings = config.data_settings(read_json(arguments.config), arguments.dataset)
    done = datasets.reader(arguments.dataset)(settings)
    prepared.save(arguments.out, done)
    write_checked_json(arguments.manifest, prepared.manifest(done))


if __name__ == "__main__":
    run_command(main)
