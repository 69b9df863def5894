"""One training as a function of data and settings (the original's Algorithm 1).

Each random number depends only on its purpose, its step and the run's seed. So runs of one seed
share initial weights, data order and dropout masks across lambdas, and a resumed run draws the same
numbers as an uninterrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flatreg import penalty
from flatreg.config import Convergence, Settings, seed_of
from flatreg.data.splits import Split, Splits
from flatreg.disk.statuses import COMPLETED, CONVERGED, DIVERGED, RUNNING
from flatreg.train import batches, evaluation, steps
from flatreg.train.batches import Batches
from flatreg.train.evaluation import Evaluation, Held
from flatreg.train.program import Program
from flatreg.train.steps import Carry, Fixed, Params, Streams, Sums

Row = dict[str, float | int | None]

EPOCH_COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_accuracy",
    "penalty",
    "tr_h2_training",
    "strength",
    "gradient_norm",
    "tr_h2",
    "tr_h2_stderr",
)
STREAMS = {"initialization": 0, "dropout": 1, "probes": 2, "measurement": 3, "order": 4}


class Kept(NamedTuple):
    """The parameters that a run keeps, and their epoch (from 1); 0 before the first epoch."""

    params: Params
    epoch: int


class State(NamedTuple):
    """All that a training needs to continue after an epoch.

    Attributes:
        params: the current parameters.
        optimizer: optax state.
        kept: the parameters that the run keeps if it ends here.
        rows: one dictionary per finished epoch.
        seconds: time spent so far: train, compile, measure.
        status: one of `flatreg.disk.statuses`.
        diverged_step: first step (from 1) that was not finite, else None.
    """

    params: Params
    optimizer: optax.OptState
    kept: Kept
    rows: list[Row]
    seconds: dict[str, float]
    status: str
    diverged_step: int | None

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.rows)


class Placed(NamedTuple):
    """The data of some trainings of a program on the device, which share their splits.

    Attributes:
        splits: the data.
        examples: arrays of the training split, of `flatreg.train.batches`.
        held: each split for its evaluation, by the split's name; None if it is empty.
        measured: inputs and labels over which tr(H^2) is measured after an epoch.
    """

    splits: Splits
    examples: Any
    held: dict[str, Held | None]
    measured: tuple[jax.Array, jax.Array]


class Measured(NamedTuple):
    """What is measured after an epoch.

    Attributes:
        validation: of the validation split.
        test: of the test split.
        tr_h2: and its standard error.
    """

    validation: Evaluation
    test: Evaluation
    tr_h2: tuple[float, float]


class Trainer(NamedTuple):
    """One training of a program, and its data.

    Attributes:
        program: shared with other trainings.
        settings: of the run.
        placed: its data, shared with other trainings.
        batches: of its training split.
        weight: of the penalty in the loss, after the warm-up.
        warmup: number of steps over which the weight rises.
        rates: learning rate of every step [steps].
        streams: keys of its random numbers.
        evaluate: of a split by its name, with some parameters.
        probes: `probes(epoch) -> key` of the probes with which tr(H^2) is measured.
    """

    program: Program
    settings: Settings
    placed: Placed
    batches: Batches
    weight: float
    warmup: int
    rates: np.ndarray
    streams: Streams
    evaluate: dict[str, Callable[[Params], Evaluation]]
    probes: Callable[[int], jax.Array]

    @property
    def splits(self) -> Splits:
        """The data."""
        return self.placed.splits


def fit(trainer: Trainer, state: State) -> Iterator[State]:
    """Train from `state` to the end, and yield the state after each epoch."""
    while state.status == RUNNING:
        state = _train_epoch(trainer, state)
        yield state


def start(trainer: Trainer) -> State:
    """The state before the first epoch."""
    settings = trainer.settings
    key = stream(seed_of(settings, "initialization"), "initialization")
    rates = np.float32(settings.learning_rate), np.float32(settings.weight_decay)
    params = trainer.program.initialize(key)
    optimizer = trainer.program.optimizer(*rates).init(params)
    seconds = {"train": 0.0, "measure": 0.0, "compile": 0.0}
    return State(params, optimizer, Kept(params, 0), [], seconds, RUNNING, None)


def place(program: Program, splits: Splits) -> Placed:
    """Put the data of trainings on the device.

    Args:
        program: of the trainings.
        splits: of `flatreg.data.splits.prepare`.
    """
    train = splits.train
    rows = np.arange(min(program.settings.epoch_measure.examples, len(train.y)))
    parts = {name: part for name, part in splits._asdict().items() if isinstance(part, Split)}
    examples = {name: batches.examples_of(part) for name, part in parts.items()}
    return Placed(
        splits=splits,
        examples=examples["train"],
        held={name: evaluation.hold(part, examples[name]) for name, part in parts.items()},
        # The first examples of the training split.
        measured=(jnp.asarray(train.inputs(rows)), jnp.asarray(train.y[rows])),
    )


def make_trainer(program: Program, placed: Placed, settings: Settings) -> Trainer:
    """Prepare one training.

    Args:
        program: of `flatreg.train.program.make_program`, for the same cell and the same kind of
            loss, with or without the penalty.
        placed: the data of the training.
        settings: of the run (`flatreg.config.settings`).
    """
    train = placed.splits.train
    orders = (epoch_order(settings, e, len(train.y)) for e in range(settings.epochs))
    return Trainer(
        program=program,
        settings=settings,
        placed=placed,
        batches=batches.of_split(train, orders, placed.examples),
        weight=penalty_weight(settings),
        warmup=round(settings.penalty.warmup * settings.epochs * program.steps_per_epoch),
        rates=program.rates(settings.learning_rate),
        streams=Streams(*(stream(seed_of(settings, name), name) for name in Streams._fields)),
        evaluate={
            name: evaluation.of_held(held, program.sums) for name, held in placed.held.items()
        },
        probes=partial(jax.random.fold_in, stream(settings.seed, "measurement")),
    )


def penalty_weight(settings: Settings) -> float:
    """The weight of tr(H^2) in the loss of a penalized step of a run, after the warm-up."""
    return penalty.scale(
        float(settings.lam),
        batch=settings.batch,
        interval=settings.penalty.interval,
        scaling=settings.penalty.scaling,
    )


def rising(numbers: np.ndarray, warmup: int) -> np.ndarray:
    """The share of its full weight that the penalty has at some steps, by their numbers from 1."""
    return np.minimum(numbers / warmup, 1) if warmup else np.ones(len(numbers))


def stream(seed: int, purpose: str) -> jax.Array:
    """The key of a seed's random numbers for one purpose of `STREAMS`."""
    return jax.random.fold_in(jax.random.key(seed), STREAMS[purpose])


def epoch_order(settings: Settings, epoch: int, examples: int) -> np.ndarray:
    """Row numbers [steps, B] of the batches of an epoch (from 0), without a last smaller batch."""
    rng = np.random.default_rng([STREAMS["order"], seed_of(settings, "order"), epoch])
    batch = settings.batch
    return rng.permutation(examples)[: examples // batch * batch].reshape(-1, batch)


def _train_epoch(trainer: Trainer, state: State) -> State:
    epoch, clock = trainer.program.epoch, time.perf_counter()
    inputs = arguments(trainer, state, epoch_plan(trainer, state.epoch))
    prepared = time.perf_counter()
    epoch.compile(*inputs)
    compiled = time.perf_counter()
    carry = jax.block_until_ready(epoch(*inputs))
    trained = time.perf_counter()
    seconds = {"compile": compiled - prepared, "train": trained - compiled + prepared - clock}
    measure = partial(_measured, trainer, carry.params, state.epoch + 1)
    return after_epoch(trainer, state, carry, measure, seconds)


def _measured(trainer: Trainer, params: Params, epoch: int) -> Measured:
    """What is measured after an epoch (from 1) of one lane."""
    value, stderr = trainer.program.coarse(params, *trainer.placed.measured, trainer.probes(epoch))
    return Measured(
        validation=trainer.evaluate["validation"](params),
        test=trainer.evaluate["test"](params),
        tr_h2=(float(value), float(stderr)),
    )


def epoch_plan(trainer: Trainer, epoch: int) -> Any:
    """The arrays of the batches of an epoch (from 0)."""
    return trainer.batches.plan(epoch_order(trainer.settings, epoch, len(trainer.splits.train.y)))


def arguments(trainer: Trainer, state: State, plan: Any) -> tuple[Fixed, Carry]:
    """The arguments of the steps of the epoch after `state`, with the plan of its batches."""
    settings, count = trainer.settings, trainer.program.steps_per_epoch
    first = state.epoch * count
    share = rising(np.arange(first, first + count) + 1, trainer.warmup)
    fixed = Fixed(
        examples=trainer.batches.examples,
        plan=plan,
        rates=trainer.rates[first : first + count].astype(np.float32),
        weights=(trainer.weight * share).astype(np.float32),
        first=np.int32(first),
        decay=np.float32(settings.weight_decay),
        streams=trainer.streams,
    )
    return fixed, Carry(state.params, state.optimizer, steps.no_sums(first))


def after_epoch(
    trainer: Trainer,
    state: State,
    carry: Carry,
    measure: Callable[[], Measured],
    seconds: dict[str, float],
) -> State:
    """The state after an epoch.

    Args:
        trainer: of the run.
        state: before the epoch.
        carry: the result of the epoch's steps.
        measure: gives what is measured after the epoch; not called if its steps diverged.
        seconds: spent on this epoch before `measure` is called.
    """
    params, opt_state, sums = carry
    seconds = {name: spent + seconds.get(name, 0.0) for name, spent in state.seconds.items()}
    if diverged := int(sums.diverged_step):
        return state._replace(seconds=seconds, status=DIVERGED, diverged_step=diverged)
    clock = time.perf_counter()
    row = _describe_epoch(trainer, sums, measure(), epoch=state.epoch + 1)
    seconds["measure"] += time.perf_counter() - clock
    rows = [*state.rows, row]
    return State(
        params=params,
        optimizer=opt_state,
        kept=_keep(trainer.settings.selection, state, Kept(params, state.epoch + 1), row),
        rows=rows,
        seconds=seconds,
        status=_status(rows, trainer.settings),
        diverged_step=None,
    )


def _describe_epoch(trainer: Trainer, sums: Sums, measured: Measured, *, epoch: int) -> Row:
    """The row of an epoch, with `EPOCH_COLUMNS`; None where a quantity does not exist."""
    settings, count = trainer.settings, trainer.program.steps_per_epoch
    validation, (tr_h2, tr_h2_stderr) = measured.validation, measured.tr_h2
    penalized = int(sums.penalized)
    return {
        "epoch": epoch,
        "step": int(sums.step),
        "learning_rate": float(trainer.rates[int(sums.step) - 1]),
        "train_loss": _mean(sums.loss, count),
        "train_accuracy": float(sums.correct) / (count * settings.batch),
        "validation_loss": finite(validation.loss),
        "validation_accuracy": validation.accuracy,
        "test_accuracy": finite(measured.test.accuracy),
        "penalty": _mean(sums.penalty, penalized),
        "tr_h2_training": _mean(sums.tr_h2, penalized),
        "strength": _mean(sums.strength, penalized),
        "gradient_norm": _mean(sums.gradient_norm, count),
        "tr_h2": finite(tr_h2),
        "tr_h2_stderr": finite(tr_h2_stderr),
    }


def _mean(total: jax.Array, count: int) -> float | None:
    """The mean of so many numbers; None of none, and where their sum is beyond float32."""
    return finite(float(total) / count) if count else None


def finite(value: float) -> float | None:
    """The number, or None if it is not finite."""
    return value if np.isfinite(value) else None


def _keep(selection: str, state: State, latest: Kept, row: Row) -> Kept:
    """The latest parameters, or those with the best validation accuracy, ties by loss."""
    if selection == "last" or state.kept.epoch == 0:
        return latest
    best = state.rows[state.kept.epoch - 1]
    return latest if _merit(row) > _merit(best) else state.kept


def _merit(row: Row) -> tuple[float, float]:
    loss = row["validation_loss"]
    return row["validation_accuracy"], -np.inf if loss is None else -loss


def _status(rows: list[Row], settings: Settings) -> str:
    if _has_converged(rows, settings.convergence):
        return CONVERGED
    return COMPLETED if len(rows) == settings.epochs else RUNNING


def _has_converged(rows: list[Row], convergence: Convergence) -> bool:
    """Whether the last `patience` epochs lowered the validation loss by less than `min_delta`."""
    patience = convergence.patience
    if patience is None or len(rows) <= patience:
        return False
    losses = [np.inf if r["validation_loss"] is None else r["validation_loss"] for r in rows]
    return min(losses[-patience:]) > min(losses[:-patience]) - convergence.min_delta
