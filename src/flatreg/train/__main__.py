"""Train one run."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optax
import pandas as pd
from rich.progress import Progress

from flatreg import code, command, config, machine
from flatreg.config import Settings
from flatreg.data import splits
from flatreg.data.dataset import load_dataset
from flatreg.disk import finished, locks
from flatreg.disk.files import (
    atomic_path,
    check_checksum,
    read_json,
    sha256,
    write_json,
    write_sealed,
)
from flatreg.disk.runs import save_params
from flatreg.disk.statuses import DIVERGED, RUNNING
from flatreg.errors import StoppedError, UserError, note_signals
from flatreg.train.checkpoints import Checkpoints
from flatreg.train.loop import EPOCH_COLUMNS, State, Trainer, finite, fit, make_trainer, start


def main() -> None:
    """Train one run and write its folder."""
    begun = time.time()
    arguments = _parse()
    machine.set_up(arguments)
    settings = config.settings(
        read_json(arguments.config),
        config.Run(arguments.protocol, arguments.dataset, arguments.lam, arguments.seed),
    )
    data = load_dataset(arguments.data)
    key = config.run_key(settings, data.sha256)
    settings = with_selection(settings, arguments.selected)
    making = code.making()
    training_key = config.digest({"run": key, "settings": settings, "making": making})
    place = arguments.checkpoints / training_key
    with locks.waiting(place / "lock"):
        if finished.restore(place, arguments.out):
            print(f"this run is already finished; its files are copied from {place}", flush=True)
            return
        trainer = make_trainer(splits.prepare(data, settings), settings)
        setup_seconds = time.time() - begun - trainer.compile_seconds
        with Checkpoints(place / "epochs", training_key, arguments.checkpoint_every) as checkpoints:
            state = checkpoints.restore(start(trainer))
            resumed = state.epoch
            if resumed:
                print(f"going on after epoch {resumed} of {settings.epochs}", flush=True)
            state = _train(trainer, state, checkpoints)
        record = {"protocol": arguments.protocol, "dataset": arguments.dataset}
        record |= {"lambda": arguments.lam, "seed": arguments.seed, "key": key}
        timing = _timing(state, setup_seconds, time.time() - begun, resumed)
        _write(arguments.out, record | _metrics(trainer, state), state, timing, begun)
        finished.keep(arguments.out, place)
        checkpoints.remove()


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


def _train(trainer: Trainer, state: State, checkpoints: Checkpoints) -> State:
    """Train to the end.

    Raises:
        StoppedError: a signal arrived; the last epoch is saved.
    """
    epochs = trainer.settings.epochs
    with note_signals() as received:
        for state in _with_progress(fit(trainer, state), epochs, state.epoch):  # noqa: B020
            signal = received()
            if signal and state.status == RUNNING:
                checkpoints.save(state)
                raise StoppedError(
                    f"told to end ({signal.name}): epoch {state.epoch} of {epochs} is saved, "
                    "the next attempt goes on from there",
                    signal,
                )
            checkpoints.save_if_due(state)
    return state


def _with_progress(states: Iterable[State], epochs: int, resumed: int) -> Iterable[State]:
    """Yield the states; show a progress bar on a terminal, else print one line per epoch."""
    with Progress(disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("epochs", total=epochs, completed=resumed)
        for state in states:
            progress.update(task, completed=state.epoch)
            if not sys.stdout.isatty():
                print(_line(state, epochs), flush=True)
            yield state


def _line(state: State, epochs: int) -> str:
    if state.status == DIVERGED:
        return f"diverged at step {state.diverged_step}, in epoch {state.epoch + 1} of {epochs}"
    row = state.rows[-1]
    return (
        f"epoch {row['epoch']}/{epochs}  train loss {row['train_loss']:.4g}  "
        f"validation accuracy {row['validation_accuracy']:.4f}  tr(H^2) {row['tr_h2']}"
    )


def _metrics(trainer: Trainer, state: State) -> dict[str, Any]:
    """The entries of metrics.json, except those that name the run."""
    settings = trainer.settings
    training = [row["tr_h2_training"] for row in state.rows if row["tr_h2_training"] is not None]
    measured = [row["tr_h2"] for row in state.rows if row["tr_h2"] is not None]
    tested = [row["test_accuracy"] for row in state.rows]
    return {
        "status": state.status,
        "diverged_step": state.diverged_step,
        "epochs": state.epoch,
        "steps": state.rows[-1]["step"] if state.rows else 0,
        "kept_epoch": None if state.status == DIVERGED else state.kept.epoch,
        **_final(trainer, state),
        "best_test_accuracy": max(tested, default=None),
        "tr_h2_training": _mean(training),
        "tr_h2_epochs": _mean(measured),
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "estimator": trainer.estimator,
        "estimator_reason": trainer.reason,
        "data_sha256": trainer.splits.sha256,
    }


def _final(trainer: Trainer, state: State) -> dict[str, float | None]:
    """Loss and accuracy of the kept parameters on each split, and their norm."""
    if state.status == DIVERGED:
        names = [f"{name}_{what}" for name in trainer.evaluate for what in ("loss", "accuracy")]
        return dict.fromkeys([*names, "parameter_norm"])
    values: dict[str, float | None] = {}
    for name, evaluate in trainer.evaluate.items():
        loss, accuracy = evaluate(state.kept.params)
        values |= {f"{name}_loss": finite(loss), f"{name}_accuracy": finite(accuracy)}
    return values | {"parameter_norm": float(optax.tree.norm(state.kept.params))}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _timing(state: State, setup: float, total: float, resumed: int) -> dict[str, float | int]:
    return {
        "setup_seconds": setup,
        "compile_seconds": state.seconds["compile"],
        "train_seconds": state.seconds["train"],
        "measure_seconds": state.seconds["measure"],
        "total_seconds": total,
        "steps": state.rows[-1]["step"] if state.rows else 0,
        "resumed": resumed,
    }


def _write(
    out: Path, metrics: dict[str, Any], state: State, timing: dict[str, Any], begun: float
) -> None:
    save_params(out / "params.npz", state.kept.params)
    with atomic_path(out / "epochs.csv") as temporary:
        pd.DataFrame(state.rows, columns=EPOCH_COLUMNS).to_csv(temporary, index=False)
    write_json(out / "timing.json", timing)
    write_json(out / "facts.json", machine.describe() | {"begun": begun, "ended": time.time()})
    sums = {f"{name}_sha256": sha256(out / name) for name in finished.SUMMED}
    write_sealed(out / "metrics.json", metrics | sums)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--protocol", required=True, help="a protocol of the config")
    parser.add_argument("--dataset", required=True, help="a data set of the protocol")
    parser.add_argument("--lambda", dest="lam", required=True, help="as written in the config")
    parser.add_argument("--seed", type=int, required=True, help="a seed of the protocol")
    parser.add_inputs("data")
    parser.add_argument("--selected", type=Path, help="result of the search, if the run has one")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument(
        "--checkpoint-every", type=int, required=True, help="epochs from checkpoint to checkpoint"
    )
    machine.add_flags(parser)
    parser.add_out("the run's folder")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
