"""The lanes of a block: train runs, and keep the files of each.

A run that was interrupted goes on from its last checkpoint; one that is finished is not repeated.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flatreg import code, config
from flatreg.config import Config, Run, Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.disk import finished, locks
from flatreg.disk.files import check_checksum, read_json
from flatreg.errors import StoppedError, UserError
from flatreg.train import portion
from flatreg.train.checkpoints import Checkpoints, Interval
from flatreg.train.loop import Placed, Trainer, make_trainer, place, start
from flatreg.train.portion import Say, Training
from flatreg.train.program import Program, make_program
from flatreg.train.record import Course
from flatreg.train.strategies import Strategy

# Data on the device, by the seed on which their splits depend.
Data = dict[int | None, Placed]


class Block:
    """What the lanes of a job share: the data, the place of checkpoints, and compiled programs."""

    def __init__(
        self,
        study: Config,
        dataset: Dataset,
        selected: Path | None,
        checkpoints: Path,
        every: Interval,
        strategy: Strategy,
        ledger: dict[str, Any] | None = None,
    ) -> None:
        """Take what the lanes share.

        Args:
            study: the completed config.
            dataset: of all runs.
            selected: the result of the search, where the runs take their rates from one.
            checkpoints: folder of all checkpoints.
            every: when checkpoints are due.
            strategy: how lanes are trained.
            ledger: the claims that the runs register; see `flatreg.config.registration`.
        """
        self._study = study
        self._dataset = dataset
        self._selected = selected
        self._checkpoints = checkpoints
        self._every = every
        self._making = code.making()
        self._programs: dict[bool, Program] = {}
        self._strategy = strategy
        self._ledger = ledger

    def lane(self, run: Run) -> Lane:
        """The lane of one run.

        Raises:
            UserError: the config has no such run, or the run lacks the result of a search.
        """
        settings = config.settings(self._study, run)
        key = config.run_key(settings, self._dataset.sha256)
        settings = with_selection(settings, self._selected)
        training = {"run": key, "settings": settings, "making": self._making}
        name = {"protocol": run.protocol, "dataset": run.dataset}
        name |= {"lambda": run.lam, "seed": run.seed, "key": key}
        return Lane(settings, name, self._checkpoints / config.digest(training))

    def train(
        self, lanes: Sequence[Lane], logs: Sequence[Path | None], stop: Callable[[], Any]
    ) -> None:
        """Train lanes and keep the files of each, unless that is done already.

        Args:
            lanes: of this block, in the order of the config: two jobs that wait for each other's
                lanes would never end.
            logs: of each run, a line per epoch; None for standard output.
            stop: returns a signal as soon as the process is told to end.

        Raises:
            StoppedError: a signal arrived; the last epoch of each lane is saved.
        """
        left = deque(zip(lanes, logs, strict=True))
        while left:
            _check_not_stopped(stop(), len(lanes) - len(left), len(lanes))
            with ExitStack() as opened:
                if trainings := self._open(opened, left):
                    portion.train(trainings, self._strategy.train, stop)
            print(f"{len(lanes) - len(left)} of {len(lanes)} runs are finished", flush=True)

    def _open(self, opened: ExitStack, left: deque[tuple[Lane, Path | None]]) -> list[Training]:
        """Take the next lanes that are trained together from those that are left."""
        data: Data = {}
        trainings: list[Training] = []
        penalized = left[0][0].settings.penalized
        count = 1
        while left and len(trainings) < count and left[0][0].settings.penalized == penalized:
            training = opened.enter_context(self._training(*left.popleft(), data))
            if training is None:
                continue
            trainings.append(training)
            if len(trainings) == 1:
                alike = 1 + sum(lane.settings.penalized == penalized for lane, _ in left)
                count = self._strategy.at_a_time(training.trainer, training.start, alike)
        return trainings

    @contextmanager
    def _training(self, lane: Lane, log: Path | None, data: Data) -> Iterator[Training | None]:
        """A lane to be trained, locked until the end; None if it is finished already."""
        with locks.waiting(lane.place / "lock"):
            if finished.has(lane.place):
                print(f"this run is already finished: its files are in {lane.place}", flush=True)
                yield None
                return
            folder = lane.place / "epochs"
            with (
                _speaker(log) as say,
                Checkpoints(folder, lane.place.name, self._every) as checkpoints,
            ):
                begun = time.time()
                trainer = self._trainer(lane.settings, data)
                setup = time.time() - begun
                state = checkpoints.restore(start(trainer))
                course = Course(begun, setup, state.epoch, self._ledger)
                if state.epoch:
                    say(f"going on after epoch {state.epoch} of {lane.settings.epochs}")
                yield Training(lane.name, lane.place, trainer, state, checkpoints, course, say)

    def _trainer(self, settings: Settings, data: Data) -> Trainer:
        seed = splits.seed_of_splits(settings)
        if seed not in data:
            prepared = splits.prepare(self._dataset, settings)
            data[seed] = place(self._program(settings, prepared), prepared)
        return make_trainer(self._program(settings, data[seed].splits), data[seed], settings)

    def _program(self, settings: Settings, data: splits.Splits) -> Program:
        penalized = settings.penalized
        if penalized not in self._programs:
            self._programs[penalized] = make_program(settings, data, penalized=penalized)
        return self._programs[penalized]


class Lane(NamedTuple):
    """One run of a block.

    Attributes:
        settings: with the rates of the search, if there is one.
        name: the entries of the record that name the run, with its key.
        place: the training's own folder under checkpoints/, named by all that fixes its numbers.
    """

    settings: Settings
    name: dict[str, Any]
    place: Path


def with_selection(settings: Settings, selected: Path | None) -> Settings:
    """The settings with the learning rate and weight decay of a search's result.

    Raises:
        UserError: the run needs the result of a search, and there is none or that of another.
    """
    if settings.search_of is None:
        return settings
    if selected is None:
        raise UserError(
            f"{settings.protocol}/{settings.dataset} takes its learning rate from a search; "
            "give the search's result with --selected"
        )
    check_checksum(selected)
    result, wanted = read_json(selected), config.as_dict(settings.search_of)
    if result["search"] != wanted:
        raise UserError(
            f"{selected} is the search of {_words(result['search'])}, not of {_words(wanted)};"
            " give that with --selected"
        )
    return settings.with_rates(**result["selected"])


def _words(search: dict[str, str]) -> str:
    return f"{search['protocol']} at lambda {search['lambda']}"


@contextmanager
def _speaker(log: Path | None) -> Iterator[Say]:
    """A function that prints a line into a new log, or to standard output."""
    if log is None:
        yield lambda line: print(line, flush=True)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as handle:
        yield lambda line: print(line, file=handle, flush=True)


def _check_not_stopped(signal: int | None, number: int, count: int) -> None:
    if signal is not None:
        raise StoppedError(
            f"told to end ({signal.name}): {number} of {count} runs are finished, "
            "the next attempt goes on with the others",
            signal,
        )
