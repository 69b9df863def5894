"""Choose a data set's learning rate and weight decay.

Train once at each point of the protocol's grid, at lambda 0, and choose the point with the highest
validation accuracy, ties by validation loss. The trainings have no test split. A search that was
killed continues after the last point that it finished.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flatreg import code, command, config, machine
from flatreg.config import BASELINE, Search, Settings
from flatreg.data import splits
from flatreg.data.dataset import load_dataset
from flatreg.disk import locks
from flatreg.disk.files import read_json, read_sealed, write_checked_json, write_sealed
from flatreg.disk.statuses import DIVERGED, RUNNING
from flatreg.errors import UserError
from flatreg.train import strategies
from flatreg.train.loop import State, make_trainer, place, start
from flatreg.train.program import make_program
from flatreg.train.strategies import Strategy


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
    with locks.waiting(place / "lock"):
        tried = try_all(place, run_splits, settings, grid(cell.search), strategies.of_device())
        write_checked_json(arguments.out, {"selected": choose(tried), "tried": tried})
        shutil.rmtree(place)


def try_all(
    folder: Path,
    run_splits: splits.Splits,
    settings: Settings,
    points: list[dict[str, float]],
    strategy: Strategy,
) -> list[dict[str, Any]]:
    """Train at each point; return its status and the validation results of the kept epoch.

    Args:
        folder: where the result of each point is saved as soon as it is known.
        run_splits: without the test split.
        settings: of the trainings, apart from their rates.
        points: of `grid`.
        strategy: how points are trained.
    """
    tried = {number: read for number in range(len(points)) if (read := saved(folder, number))}
    left = [number for number in range(len(points)) if number not in tried]
    # Points with and without weight decay have programs of their own.
    for decays in (False, True):
        numbers = [n for n in left if (points[n]["weight_decay"] > 0) == decays]
        lanes = [settings.with_rates(**points[number]) for number in numbers]
        for position, result in train(run_splits, lanes, strategy):
            write_sealed(point_file(folder, numbers[position]), result)
            tried[numbers[position]] = result
    return [tried[number] for number in range(len(points))]


def saved(folder: Path, number: int) -> dict[str, Any] | None:
    """The saved result of a point; None if there is none, or it is damaged."""
    path = point_file(folder, number)
    if not path.exists():
        return None
    try:
        return read_sealed(path)
    except UserError as error:
        print(f"trying this point again ({error})", flush=True)
        return None


def point_file(folder: Path, number: int) -> Path:
    """The file of a point's result."""
    return folder / f"point-{number}.json"


def train(
    run_splits: splits.Splits, points: list[Settings], strategy: Strategy
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Train at points with one program; yield position and result of each that has ended."""
    if not points:
        return
    program = make_program(points[0], run_splits, penalized=False)
    placed = place(program, run_splits)
    trainers = [make_trainer(program, placed, settings) for settings in points]
    begin = 0
    while begin < len(trainers):
        count = strategy.at_a_time(trainers[begin], start(trainers[begin]), len(trainers) - begin)
        some = trainers[begin : begin + count]
        for states in strategy.train(some, [start(trainer) for trainer in some]):
            for number, state in states.items():
                if state.status != RUNNING:
                    yield begin + number, describe(some[number].settings, state)
        begin += count


def describe(settings: Settings, state: State) -> dict[str, Any]:
    """The result of a point whose training has ended."""
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


def grid(search: Search) -> list[dict[str, float]]:
    """All points of a search, in the order of the config."""
    points = itertools.product(search.learning_rate, search.weight_decay)
    return [{"learning_rate": rate, "weight_decay": decay} for rate, decay in points]


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
