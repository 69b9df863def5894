"""Choose a data set's learning rate and weight decay at one lambda.

Train with the penalty at this lambda at each point of the protocol's grid, once for each seed of
the search. The chosen point has the lowest mean validation loss after the last epoch, ties by mean
validation accuracy, among those that diverged for no seed; one at chance is not chosen while
another learned. (Where all points have nearly the same accuracy, as on few examples, the loss still
tells them apart.) If the point lies at an edge of the grid, the grid is extended on that side by
its own ratio, and so on up to the protocol's limit. The trainings have no test split. A search that
was killed continues after the last training that it finished.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flatreg import code, command, config, machine
from flatreg.config import Search, SearchOf, Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk import locks
from flatreg.disk.files import read_json, read_sealed, write_checked_json, write_sealed
from flatreg.disk.statuses import DIVERGED, RUNNING
from flatreg.errors import UserError
from flatreg.train import strategies
from flatreg.train.loop import Placed, State, make_trainer, place, start
from flatreg.train.program import Program, make_program
from flatreg.train.strategies import Strategy

# What a search's seeds vary, whatever those of the study do: it has no test split to vary.
VARIES = ("initialization", "order", "dropout", "probes", "split")

Result = dict[str, Any]


class Point(NamedTuple):
    """A point of a grid."""

    learning_rate: float
    weight_decay: float


class Direction(NamedTuple):
    """One of the sides to which a grid can be extended.

    Attributes:
        name: of the dimension, a field of `Point`.
        up: whether to larger values.
    """

    name: str
    up: bool

    def __str__(self) -> str:
        """For people, as in "smallest learning_rate"."""
        return f"{'largest' if self.up else 'smallest'} {self.name}"


class Grid(NamedTuple):
    """The values of each dimension, in rising order."""

    learning_rate: tuple[float, ...]
    weight_decay: tuple[float, ...]

    def points(self) -> list[Point]:
        """All points."""
        return [Point(*values) for values in itertools.product(*self)]

    def edges(self, point: Point) -> list[Direction]:
        """The edges on which a point lies; a dimension without a ratio has none, and 0 is none."""
        return [
            Direction(name, up)
            for name, value in point._asdict().items()
            for up in (False, True)
            if len(self._positive(name)) > 1
            and value > 0
            and value == getattr(self, name)[-1 if up else 0]
        ]

    def extended(self, direction: Direction) -> Grid:
        """The grid with one more value, as far from the last as that is from the one before."""
        values = self._positive(direction.name)
        last, before = (values[-1], values[-2]) if direction.up else values[:2]
        longer = (*getattr(self, direction.name), _rounded(last * last / before))
        return self._replace(**{direction.name: tuple(sorted(longer))})

    def _positive(self, name: str) -> list[float]:
        """The values of a dimension that have a ratio."""
        return [value for value in getattr(self, name) if value > 0]


def main() -> None:
    """Search the grid of one data set of one protocol at one lambda, and write the result."""
    arguments = _parse()
    machine.set_up(arguments)
    study = read_json(arguments.config)
    cell = config.cell_settings(study, arguments.protocol, arguments.dataset)
    settings = replace(cell.of_run(arguments.lam, seed=0), varies=VARIES)
    dataset = load_dataset(arguments.data)
    key = config.selection_key(cell, arguments.lam)
    named = {"search": key, "data": dataset.sha256, "making": code.making()}
    folder = arguments.checkpoints / config.digest(named)
    trials = Trials(folder, dataset, settings, strategies.of_device())
    with locks.waiting(folder / "lock"):
        found = search(trials, cell.search)
        search_of = SearchOf(protocol=arguments.protocol, lam=arguments.lam)
        write_checked_json(arguments.out, {"search": config.as_dict(search_of), **found})
        shutil.rmtree(folder)


def search(trials: Trials, wanted: Search) -> Result:
    """Search a grid, and extend it until its best point lies on no edge.

    Args:
        trials: of the points.
        wanted: the grid, its seeds, and how often it may be extended in one direction.

    Returns:
        The selected point, whether it learned, the edges on which it lies after all, how often the
        grid was extended to each side, and all points that were tried.

    Raises:
        UserError: every point diverged, without a penalty.
    """
    grid = Grid(tuple(sorted(wanted.learning_rate)), tuple(sorted(wanted.weight_decay)))
    extensions: Counter[Direction] = Counter()
    tried: dict[Point, Result] = {}
    while True:
        tried |= trials.of([p for p in grid.points() if p not in tried], wanted.seeds)
        best = choose(tried)
        edges = grid.edges(best) if best else _towards_smaller_rates(grid)
        open_edges = [edge for edge in edges if extensions[edge] < wanted.extensions]
        if not open_edges:
            break
        for edge in open_edges:
            grid = grid.extended(edge)
            extensions[edge] += 1
            found = f"the best point has the {edge} of the grid" if best else "every point diverged"
            _say(f"{found}: extended to {_end(grid, edge):g}")
    if best is None:
        best = trials.if_none_trains(min(tried))
    for edge in edges:
        _say(f"the best point still has the {edge} of the grid, after all extensions")
    if not tried[best]["learned"]:
        _say("no point learned: the best is no better than predicting the commonest class")
    return {
        "selected": best._asdict(),
        "learned": tried[best]["learned"],
        "edges": [str(edge) for edge in edges],
        "extensions": {str(edge): count for edge, count in extensions.items()},
        "tried": [tried[point] for point in sorted(tried)],
    }


def choose(tried: dict[Point, Result]) -> Point | None:
    """The best point that diverged for no seed; None if every point diverged for some."""
    finished = [point for point, result in tried.items() if not result["diverged"]]
    return max(finished, key=lambda point: _merit(tried[point]), default=None)


def _merit(result: Result) -> tuple[bool, float, float]:
    return result["learned"], -result["validation_loss"], result["validation_accuracy"]


def _towards_smaller_rates(grid: Grid) -> list[Direction]:
    """Where to look if every point diverged, if the grid has a ratio."""
    return [Direction("learning_rate", up=False)] if len(grid.learning_rate) > 1 else []


def _end(grid: Grid, edge: Direction) -> float:
    return getattr(grid, edge.name)[-1 if edge.up else 0]


def _rounded(value: float) -> float:
    """A number that people would write: three significant digits."""
    return float(f"{value:.3g}")


class Trials:
    """The trainings of one search.

    Each is saved as soon as it has ended; those that are saved already are not repeated.
    """

    def __init__(
        self, folder: Path, dataset: Dataset, settings: Settings, strategy: Strategy
    ) -> None:
        """Take what the trainings share.

        Args:
            folder: where the result of each training is saved.
            dataset: of the trainings.
            settings: of the trainings, apart from their rates and seeds.
            strategy: how trainings are done.
        """
        self._folder = folder
        self._dataset = dataset
        self._settings = settings
        self._strategy = strategy
        self._programs: dict[bool, Program] = {}
        self._data: dict[int, Placed] = {}

    def of(self, points: Iterable[Point], seeds: Iterable[int]) -> dict[Point, Result]:
        """Train at each point with each seed; the result of each point over its seeds."""
        trainings = [
            replace(self._settings, seed=seed).with_rates(**point._asdict())
            for point in points
            for seed in seeds
        ]
        results = {t: read for t in map(_name, trainings) if (read := self._saved(t))}
        left = [training for training in trainings if _name(training) not in results]
        for training, state in self._train(left):
            result = self._describe(training, state)
            write_sealed(self._file(_name(training)), result)
            results[_name(training)] = result
        by_point = itertools.groupby(
            trainings, key=lambda t: Point(t.learning_rate, t.weight_decay)
        )
        return {
            point: over_seeds(point, [results[_name(t)] for t in some]) for point, some in by_point
        }

    def if_none_trains(self, smallest: Point) -> Point:
        """The point to take if every point diverged: collapse is what so large a lambda does.

        Args:
            smallest: the point with the smallest rates.

        Raises:
            UserError: it is no penalty that makes them diverge.
        """
        if not self._settings.penalized:
            raise UserError("every point of the search diverged; put smaller learning rates in it")
        _say("every point diverged: the smallest rates are taken")
        return smallest

    def _train(self, trainings: list[Settings]) -> Iterator[tuple[Settings, State]]:
        """Train with as few programs as can be; yield the last state of each as it ends."""
        # Points with and without weight decay have programs of their own.
        for decays in (False, True):
            some = [training for training in trainings if (training.weight_decay > 0) == decays]
            trainers = [make_trainer(self._program(t), self._placed(t), t) for t in some]
            while trainers:
                first = trainers[0]
                count = self._strategy.at_a_time(first, start(first), len(trainers))
                lanes, trainers = trainers[:count], trainers[count:]
                for states in self._strategy.train(lanes, [start(lane) for lane in lanes]):
                    for number, state in states.items():
                        if state.status != RUNNING:
                            yield lanes[number].settings, state

    def _program(self, training: Settings) -> Program:
        decays = training.weight_decay > 0
        if decays not in self._programs:
            self._programs[decays] = make_program(
                training, self._splits(training), penalized=training.penalized
            )
        return self._programs[decays]

    def _placed(self, training: Settings) -> Placed:
        if training.seed not in self._data:
            self._data[training.seed] = place(self._program(training), self._splits(training))
        return self._data[training.seed]

    def _splits(self, training: Settings) -> splits.Splits:
        if training.seed in self._data:
            return self._data[training.seed].splits
        return splits.without_test(splits.prepare(self._dataset, training))

    def _describe(self, training: Settings, state: State) -> Result:
        """The result of a training that has ended."""
        row = state.rows[-1] if state.rows else {}
        result = {
            "seed": training.seed,
            "status": state.status,
            "epoch": state.epoch,
            "validation_accuracy": row.get("validation_accuracy"),
            "validation_loss": row.get("validation_loss"),
            "chance": commonest(self._placed(training).splits.validation.y),
        }
        rates = {"learning_rate": training.learning_rate, "weight_decay": training.weight_decay}
        _say(", ".join(f"{name} {value}" for name, value in (rates | result).items()))
        return result

    def _saved(self, name: str) -> Result | None:
        """The saved result of a training; None if there is none, or it is damaged."""
        path = self._file(name)
        if not path.exists():
            return None
        try:
            return read_sealed(path)
        except UserError as error:
            _say(f"trying this training again ({error})")
            return None

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def over_seeds(point: Point, trainings: list[Result]) -> Result:
    """The result of a point: the means over its trainings, unless one diverged.

    It learned if it is better than chance, predicting the commonest class, for every seed.
    """
    diverged = any(t["status"] == DIVERGED or t["validation_loss"] is None for t in trainings)

    def mean(name: str) -> float | None:
        return None if diverged else float(np.mean([t[name] for t in trainings]))

    return {
        **point._asdict(),
        "diverged": diverged,
        "learned": not diverged and all(t["validation_accuracy"] > t["chance"] for t in trainings),
        "validation_accuracy": mean("validation_accuracy"),
        "validation_loss": mean("validation_loss"),
        "trainings": trainings,
    }


def commonest(y: np.ndarray) -> float:
    """The share of the commonest class."""
    return float(np.bincount(y).max() / len(y))


def _name(training: Settings) -> str:
    """The name of the file of a training's result."""
    return f"{training.learning_rate}-{training.weight_decay}-seed-{training.seed}"


def _say(line: str) -> None:
    print(line, flush=True)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--protocol", required=True, help="a protocol of the config")
    parser.add_argument("--dataset", required=True, help="one of its data sets, with a search")
    parser.add_argument("--lambda", dest="lam", required=True, help="of the trainings")
    parser.add_inputs("data")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    machine.add_flags(parser)
    parser.add_out("the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
