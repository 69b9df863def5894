"""Train some lanes of a block to their ends, one after another or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from flatreg.disk import finished
from flatreg.disk.statuses import DIVERGED, RUNNING
from flatreg.errors import StoppedError
from flatreg.train import record
from flatreg.train.checkpoints import Checkpoints
from flatreg.train.loop import State, Trainer
from flatreg.train.record import Course

Say = Callable[[str], None]
# Of `flatreg.train.strategies.Strategy`.
Train = Callable[[Sequence[Trainer], Sequence[State]], Iterator[dict[int, State]]]


class Training(NamedTuple):
    """One lane that is being trained.

    Attributes:
        name: the entries of the record that name the run, with its key.
        place: the training's own folder under checkpoints/.
        trainer: of the run.
        start: the state from which it goes on.
        checkpoints: of the training.
        course: how it began.
        say: prints a line into the run's log.
    """

    name: dict[str, Any]
    place: Path
    trainer: Trainer
    start: State
    checkpoints: Checkpoints
    course: Course
    say: Say

    def keep(self, state: State) -> None:
        """Keep the files of the run, which ended in this state, and delete its checkpoints."""
        write = partial(
            record.write, name=self.name, trainer=self.trainer, state=state, course=self.course
        )
        finished.keep(self.place, write)
        self.checkpoints.remove()


def train(portion: Sequence[Training], strategy: Train, stop: Callable[[], Any]) -> None:
    """Train lanes to their ends and keep the files of each as soon as it has ended.

    Args:
        portion: the lanes.
        strategy: trains them together.
        stop: returns a signal as soon as the process is told to end.

    Raises:
        StoppedError: a signal arrived; the last epoch of each lane is saved.
    """
    now = [training.start for training in portion]
    for states in strategy([training.trainer for training in portion], list(now)):
        for place, state in states.items():
            now[place] = state
            _note(portion[place], state)
        running = [pair for pair in zip(portion, now, strict=True) if pair[1].status == RUNNING]
        signal = stop()
        if signal and running:
            _save(running, signal)


def _note(training: Training, state: State) -> None:
    """Log an epoch, and save what it is time to save."""
    training.say(_line(state, training.trainer.settings.epochs))
    if state.status == RUNNING:
        training.checkpoints.save_if_due(state)
    else:
        training.keep(state)


def _save(running: Sequence[tuple[Training, State]], signal: Any) -> None:
    """Save lanes that have not ended, and end.

    Raises:
        StoppedError: always.
    """
    for training, state in running:
        training.checkpoints.save(state)
    epochs = running[0][0].trainer.settings.epochs
    if len(running) == 1:
        saved = f"epoch {running[0][1].epoch} of {epochs} is saved"
    else:
        saved = f"the last of {epochs} epochs of each of {len(running)} runs is saved"
    raise StoppedError(
        f"told to end ({signal.name}): {saved}, the next attempt goes on from there", signal
    )


def _line(state: State, epochs: int) -> str:
    if state.status == DIVERGED:
        return f"diverged at step {state.diverged_step}, in epoch {state.epoch + 1} of {epochs}"
    row = state.rows[-1]
    loss = "too large" if row["train_loss"] is None else f"{row['train_loss']:.4g}"
    return (
        f"epoch {row['epoch']}/{epochs}  train loss {loss}  "
        f"validation accuracy {row['validation_accuracy']:.4f}  tr(H^2) {row['tr_h2']}"
    )
