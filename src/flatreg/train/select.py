"""Choose a data set's learning rate and weight decay.

Train once at each point of the protocol's grid, at lambda 0, and choose the point with the highest
validation accuracy, ties by validation loss. The trainings have no test split. A search that was
killed continues after the last point that it finished.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from flatreg import code, command, config, machine
from flatreg.config import BASELINE, Search, Settings
from flatreg.data import splits
from flatreg.data.dataset import load_dataset
from flatreg.disk import locks
from flatreg.disk.files import read_json, read_sealed, write_checked_json, write_sealed
from flatreg.disk.statuses import DIVERGED
from flatreg.errors import UserError
from flatreg.train.loop import fit, make_trainer, place, start
from flatreg.train.program import Program, make_program


def main() -> None:
    """Search the grid of one data set of one protocol and write the result."""
    arguments = _parse()
    machine.set_up(arguments)
    study = read_json(arguments.config)
    cell = config.cell_settings(study, arguments.protocol, arguments.dataset)
    settings = cell.of_run(BASELINE, cell.search.seed)
    data = load_dataset(arguments.data)
    run_splits = splits.without_test(splits.prepare(data, settings))
    search = {"search": settings, "data": data.sha256, "making": code.making()}
    place = arguments.checkpoints / config.digest(search)
    # Points with and without weight decay have programs of their own.
    program = cache(partial(program_of, run_splits, settings))
    with locks.waiting(place / "lock"):
        tried = [
            once(
                place / f"point-{number}.json",
                partial(try_point, program, run_splits, settings.with_rates(**rates)),
            )
            for number, rates in enumerate(grid(cell.search))
        ]
        write_checked_json(arguments.out, {"selected": choose(tried), "tried": tried})
        shutil.rmtree(place)


def once(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read the saved result of some work; without one, do the work and save its result."""
    if path.exists():
        try:
            return read_sealed(path)
        except UserError as error:
            print(f"trying this point again ({error})", flush=True)
    result = work()
    write_sealed(path, result)
    return result


def grid(search: Search) -> list[dict[str, float]]:
    """All points of a search, in the order of the config."""
    points = itertools.product(search.learning_rate, search.weight_decay)
    return [{"learning_rate": rate, "weight_decay": decay} for rate, decay in points]


def program_of(run_splits: splits.Splits, settings: Settings, decays: bool) -> Program:
    """What all points of a search share that have weight decay, or that have none."""
    example = settings.with_rates(learning_rate=1.0, weight_decay=float(decays))
    return make_program(example, run_splits, penalized=False)


def try_point(
    program: Callable[[bool], Program], run_splits: splits.Splits, settings: Settings
) -> dict[str, Any]:
    """Train at one point; return its status and the validation results of the kept epoch.

    Args:
        program: of points with weight decay (True) or without.
        run_splits: without the test split.
        settings: with the rates of the point.
    """
    shared = program(settings.weight_decay > 0)
    trainer = make_trainer(shared, place(shared, run_splits), settings)
    (state,) = deque(fit(trainer, start(trainer)), maxlen=1)
    row = state.rows[state.kept.epoch - 1] if state.kept.epoch else {}
    record = {
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "status": state.status,
        "epoch": state.kept.epoch,
        "validation_accuracy": row.get("validation_accuracy"),
        "validation_loss": row.get("validation_loss"),
    }
    print(", ".join(f"{name} {value}" for name, value in record.items()), flush=True)
    return record


def choose(tried: list[dict[str, Any]]) -> dict[str, float]:
    """The point with the highest validation accuracy, ties by validation loss.

    Raises:
        UserError: every point diverged.
    """
    finished = [
        point
        for point in tried
        if point["status"] != DIVERGED and point["validation_loss"] is not None
    ]
    if not finished:
        raise UserError("every point of the search diverged; put smaller learning rates in it")
    best = max(finished, key=lambda p: (p["validation_accuracy"], -p["validation_loss"]))
    return {name: best[name] for name in ("learning_rate", "weight_decay")}


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--protocol", required=True, help="a protocol of the config")
    parser.add_argument("--dataset", required=True, help="one of its data sets, with a search")
    parser.add_inputs("data")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    machine.add_flags(parser)
    parser.add_out("the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
