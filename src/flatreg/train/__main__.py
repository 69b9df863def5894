"""Train the runs of a block in one process: one after another, or side by side on a GPU.

Each run has the files that it would have alone. They are put in their places when all runs are
finished; until then they are kept beside the checkpoints.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from flatreg import command, machine
from flatreg.config import Run, registration
from flatreg.data.dataset import load_dataset
from flatreg.disk import finished, runs
from flatreg.disk.files import read_json
from flatreg.errors import note_signals
from flatreg.train import strategies
from flatreg.train.checkpoints import Interval
from flatreg.train.lane import Block


def main() -> None:
    """Train each run, and put the files of all in their places."""
    arguments = _parse()
    machine.set_up(arguments)
    folders = [path.parent for path in arguments.runs]
    study = read_json(arguments.config)
    block = Block(
        study,
        load_dataset(arguments.data),
        arguments.selected,
        arguments.checkpoints,
        Interval(arguments.checkpoint_every, arguments.checkpoint_seconds),
        strategies.of_device(),
        arguments.ledger and registration.register(arguments.ledger, study),
    )
    lanes = [block.lane(Run(*runs.name_of(folder))) for folder in folders]
    with note_signals() as received:
        block.train(lanes, [_log(arguments.logs, folder) for folder in folders], received)
    for lane, folder in zip(lanes, folders, strict=True):
        finished.place_in(lane.place, folder)


def _log(logs: Path | None, folder: Path) -> Path | None:
    """The log of the run with this folder; None if no folder of logs is given."""
    if logs is None:
        return None
    log = runs.run_dir(logs, *runs.name_of(folder)) / "metrics.log"
    print(f"{folder}: its log is {log}", flush=True)
    return log


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_runs()
    parser.add_argument(
        "--logs", type=Path, help="folder for the logs of the runs (default: standard output)"
    )
    parser.add_inputs("data")
    parser.add_argument("--selected", type=Path, help="result of the search, if the runs have one")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument(
        "--checkpoint-every", type=int, required=True, help="epochs from checkpoint to checkpoint"
    )
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=0, help="and at least so many seconds (0)"
    )
    parser.add_argument(
        "--ledger", type=Path, nargs="?", help="the claims (YAML) that the runs register, if any"
    )
    machine.add_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
