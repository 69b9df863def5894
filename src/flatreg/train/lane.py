"""One lane of a block: train one run, and keep its files.

A run that was interrupted goes on from its last checkpoint; one that is finished is not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from flatreg import code, config
from flatreg.config import Config, Run, Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.disk import finished, locks
from flatreg.disk.files import check_checksum, read_json
from flatreg.disk.statuses import DIVERGED, RUNNING
from flatreg.errors import StoppedError, UserError
from flatreg.train import record
from flatreg.train.checkpoints import Checkpoints
from flatreg.train.loop import State, Trainer, fit, make_trainer, start
from flatreg.train.program import Program, make_program
from flatreg.train.record import Course

Say = Callable[[str], None]


class Block:
    """What the lanes of a job share: the data, the place of checkpoints, and compiled programs."""

    def __init__(
        self, study: Config, dataset: Dataset, selected: Path | None, checkpoints: Path, every: int
    ) -> None:
        """Take what the lanes share.

        Args:
            study: the completed config.
            dataset: of all runs.
            selected: the result of the search, where the runs take their rates from one.
            checkpoints: folder of all checkpoints.
            every: epochs between checkpoints.
        """
        self._study = study
        self._dataset = dataset
        self._selected = selected
        self._checkpoints = checkpoints
        self._every = every
        self._making = code.making()
        self._programs: dict[bool, Program] = {}

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

    def train(self, lane: Lane, log: Path | None, stop: Callable[[], Any]) -> None:
        """Train one lane and keep its files, unless that is done already.

        Args:
            lane: of this block.
            log: of the run, a line per epoch; None for standard output.
            stop: returns a signal as soon as the process is told to end.

        Raises:
            StoppedError: a signal arrived; the last epoch is saved.
        """
        with locks.waiting(lane.place / "lock"):
            if finished.has(lane.place):
                print(f"this run is already finished: its files are in {lane.place}", flush=True)
                return
            with _speaker(log) as say:
                self._train(lane, say, stop)

    def _train(self, lane: Lane, say: Say, stop: Callable[[], Any]) -> None:
        begun = time.time()
        data = splits.prepare(self._dataset, lane.settings)
        trainer = make_trainer(self._program(lane.settings, data), data, lane.settings)
        setup = time.time() - begun - trainer.compile_seconds
        with Checkpoints(lane.place / "epochs", lane.place.name, self._every) as checkpoints:
            state = checkpoints.restore(start(trainer))
            course = Course(begun, setup, resumed=state.epoch)
            if state.epoch:
                say(f"going on after epoch {state.epoch} of {lane.settings.epochs}")
            state = _to_the_end(trainer, state, checkpoints, say, stop)
        write = partial(record.write, name=lane.name, trainer=trainer, state=state, course=course)
        finished.keep(lane.place, write)
        checkpoints.remove()

    def _program(self, settings: Settings, data: splits.Splits) -> Program:
        penalized = float(settings.lam) > 0
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
        UserError: the run needs the result of a search, and there is none.
    """
    if settings.search is None:
        return settings
    if selected is None:
        raise UserError(
            f"{settings.protocol}/{settings.dataset} takes its learning rate from a search; "
            "give the search's result with --selected"
        )
    check_checksum(selected)
    return settings.with_rates(**read_json(selected)["selected"])


@contextmanager
def _speaker(log: Path | None) -> Iterator[Say]:
    """A function that prints a line into a new log, or to standard output."""
    if log is None:
        yield lambda line: print(line, flush=True)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as handle:
        yield lambda line: print(line, file=handle, flush=True)


def _to_the_end(
    trainer: Trainer, state: State, checkpoints: Checkpoints, say: Say, stop: Callable[[], Any]
) -> State:
    epochs = trainer.settings.epochs
    for state in fit(trainer, state):  # noqa: B020
        say(_line(state, epochs))
        signal = stop()
        if signal and state.status == RUNNING:
            checkpoints.save(state)
            raise StoppedError(
                f"told to end ({signal.name}): epoch {state.epoch} of {epochs} is saved, "
                "the next attempt goes on from there",
                signal,
            )
        checkpoints.save_if_due(state)
    return state


def _line(state: State, epochs: int) -> str:
    if state.status == DIVERGED:
        return f"diverged at step {state.diverged_step}, in epoch {state.epoch + 1} of {epochs}"
    row = state.rows[-1]
    return (
        f"epoch {row['epoch']}/{epochs}  train loss {row['train_loss']:.4g}  "
        f"validation accuracy {row['validation_accuracy']:.4f}  tr(H^2) {row['tr_h2']}"
    )
