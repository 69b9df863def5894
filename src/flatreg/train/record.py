"""The files of a finished run."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from flatreg import machine
from flatreg.disk import finished
from flatreg.disk.files import atomic_path, sha256, write_json, write_sealed
from flatreg.disk.runs import save_params
from flatreg.disk.statuses import DIVERGED
from flatreg.train.loop import EPOCH_COLUMNS, State, Trainer, finite
from flatreg.train.steps import Params

# What a record says of parameters: loss (nats) and accuracy on each split, calibration, their norm.
EVALUATED = (
    *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    *("test_loss", "test_accuracy", "test_calibration_error", "parameter_norm"),
)


class Course(NamedTuple):
    """How a run went.

    Attributes:
        begun: when (seconds since 1970).
        setup_seconds: preparing its data, before its steps were compiled.
        resumed: epoch that it went on from; 0 if it began anew.
        ledger: of `flatreg.config.registration`; None if no claim is registered.
    """

    begun: float
    setup_seconds: float
    resumed: int
    ledger: dict[str, Any] | None = None


def write(
    folder: Path, *, name: dict[str, Any], trainer: Trainer, state: State, course: Course
) -> None:
    """Write a run's parameters, kept and last, epochs, times, facts, and then metrics.json.

    Args:
        folder: of the files.
        name: the entries of the record that name the run, with its key.
        trainer: of the run.
        state: after its last epoch.
        course: how it went.
    """
    metrics = name | _metrics(trainer, state)
    save_params(folder / finished.KEPT, state.kept.params)
    save_params(folder / finished.LAST, state.params)
    with atomic_path(folder / "epochs.csv") as temporary:
        _write_epochs(temporary, state)
    ended = time.time()
    write_json(folder / "timing.json", _timing(state, course, ended))
    facts = {
        "device": jax.devices()[0].device_kind,
        "precision": trainer.settings.precision,
        "begun": course.begun,
        "ended": ended,
        "ledger": course.ledger,
    }
    write_json(folder / "facts.json", machine.describe() | facts)
    sums = {f"{file}_sha256": sha256(folder / file) for file in finished.SUMMED}
    write_sealed(folder / "metrics.json", metrics | sums)


def _write_epochs(path: Path, state: State) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        rows = csv.DictWriter(handle, EPOCH_COLUMNS, lineterminator="\n")
        rows.writeheader()
        rows.writerows(state.rows)


def _metrics(trainer: Trainer, state: State) -> dict[str, Any]:
    """The entries of metrics.json, except those that name the run."""
    settings, program = trainer.settings, trainer.program
    training = [row["tr_h2_training"] for row in state.rows if row["tr_h2_training"] is not None]
    measured = [row["tr_h2"] for row in state.rows if row["tr_h2"] is not None]
    tested = [row["test_accuracy"] for row in state.rows]
    return {
        "status": state.status,
        "diverged_step": state.diverged_step,
        "epochs": state.epoch,
        "steps": state.rows[-1]["step"] if state.rows else 0,
        "kept_epoch": None if state.status == DIVERGED else state.kept.epoch,
        **final(trainer, state),
        "train_examples": len(trainer.splits.train.y),
        "test_examples": len(trainer.splits.test.y),
        "best_test_accuracy": max(tested, default=None),
        "tr_h2_training": _mean(training),
        "tr_h2_epochs": _mean(measured),
        "strength": strength(trainer, state) if program.penalized else None,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "estimator": program.estimator if program.penalized else None,
        "estimator_reason": program.reason if program.penalized else None,
        "data_sha256": trainer.splits.sha256,
    }


def strength(trainer: Trainer, state: State) -> float | None:
    """The mean strength of all steps with the penalty in the epochs that begin after the warm-up.

    None if there are none.
    """
    interval, count = trainer.settings.penalty.interval, trainer.program.steps_per_epoch
    total, steps = 0.0, 0
    for row in state.rows:
        first, last = row["step"] - count, row["step"]
        if row["strength"] is not None and first >= trainer.warmup:
            penalized = last // interval - first // interval
            total += row["strength"] * penalized
            steps += penalized
    return total / steps if steps else None


def final(trainer: Trainer, state: State) -> dict[str, float | None]:
    """`EVALUATED` of the kept parameters, and of those of the last epoch with `last_` before it."""
    if state.status == DIVERGED:
        kept = last = dict.fromkeys(EVALUATED)
    else:
        kept = _evaluated(trainer, state.kept.params)
        alike = state.kept.epoch == state.epoch
        last = kept if alike else _evaluated(trainer, state.params)
    return kept | {f"last_{name}": value for name, value in last.items()}


def _evaluated(trainer: Trainer, params: Params) -> dict[str, float | None]:
    evaluations = {name: evaluate(params) for name, evaluate in trainer.evaluate.items()}
    values = {
        f"{name}_{what}": getattr(evaluation, what)
        for name, evaluation in evaluations.items()
        for what in ("loss", "accuracy")
    }
    values["test_calibration_error"] = evaluations["test"].calibration_error
    values["parameter_norm"] = float(_norm(params))
    return {name: finite(values[name]) for name in EVALUATED}


# One program, instead of one for each operation on each array.
_norm = jax.jit(optax.tree.norm)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _timing(state: State, course: Course, ended: float) -> dict[str, float | int]:
    return {
        "setup_seconds": course.setup_seconds,
        "compile_seconds": state.seconds["compile"],
        "train_seconds": state.seconds["train"],
        "measure_seconds": state.seconds["measure"],
        "total_seconds": ended - course.begun,
        "steps": state.rows[-1]["step"] if state.rows else 0,
        "resumed": course.resumed,
    }
