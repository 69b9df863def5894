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

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from flatreg import models, objective, optimizers, penalty
from flatreg.config import Convergence, Settings, seed_of
from flatreg.data.splits import Split, Splits
from flatreg.disk.statuses import COMPLETED, CONVERGED, DIVERGED, RUNNING
from flatreg.errors import UserError
from flatreg.measure import curvature
from flatreg.train import batches, steps
from flatreg.train.batches import Batches
from flatreg.train.evaluation import make_evaluation
from flatreg.train.steps import Streams, Sums

Params = Any
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


class Trainer(NamedTuple):
    """The compiled parts of one training, and its data."""

    settings: Settings
    splits: Splits
    batches: Batches
    steps_per_epoch: int
    weight: float
    schedule: optax.Schedule
    initial: Callable[[], tuple[Params, optax.OptState]]
    run_epoch: Callable[..., tuple[Params, optax.OptState, Sums]]
    streams: Streams
    evaluate: dict[str, Callable[[Params], tuple[float, float]]]
    measure: Callable[[Params, int], tuple[float, float]]
    estimator: str | None
    reason: str | None
    compile_seconds: float


def fit(trainer: Trainer, state: State) -> Iterator[State]:
    """Train from `state` to the end, and yield the state after each epoch."""
    while state.status == RUNNING:
        state = _train_epoch(trainer, state)
        yield state


def start(trainer: Trainer) -> State:
    """The state before the first epoch."""
    params, optimizer = trainer.initial()
    seconds = {"train": 0.0, "measure": 0.0, "compile": trainer.compile_seconds}
    return State(params, optimizer, Kept(params, 0), [], seconds, RUNNING, None)


def make_trainer(splits: Splits, settings: Settings) -> Trainer:
    """Compile a run's steps.

    Args:
        splits: of `flatreg.data.splits.prepare`.
        settings: of the run (`flatreg.config.settings`).

    Raises:
        UserError: the batch is larger than the training split.
    """
    batch = settings.batch
    count = len(splits.train.y) // batch
    if count == 0:
        raise UserError(
            f"batch {batch} is larger than the {len(splits.train.y)} training examples of "
            f"{settings.dataset}; choose a smaller one"
        )
    model = models.build(settings.model, splits.classes)
    streams = Streams(*(stream(seed_of(settings, name), name) for name in Streams._fields))
    first = stream(seed_of(settings, "initialization"), "initialization")
    optimizer, schedule = optimizers.build(settings, count)
    lam, interval = float(settings.lam), settings.penalty.interval
    inputs = jnp.zeros((batch, splits.train.x.shape[1]))
    goal = _objective(model, inputs, settings)
    gradient = steps.penalized_gradient(goal, interval) if lam > 0 else steps.plain_gradient(goal)
    orders = (epoch_order(settings, e, len(splits.train.y)) for e in range(settings.epochs))
    fed = batches.of_split(splits.train, orders)
    initial = partial(_initialize, model, optimizer, inputs[:1], first)
    clock = time.perf_counter()
    epoch = steps.make_epoch(gradient, optimizer, fed)
    run_epoch = _compile(epoch, initial, fed, (count, batch), streams)
    return Trainer(
        settings=settings,
        splits=splits,
        batches=fed,
        steps_per_epoch=count,
        weight=penalty.scale(lam, batch=batch, interval=interval, scaling=settings.penalty.scaling),
        schedule=schedule,
        initial=initial,
        run_epoch=run_epoch,
        streams=streams,
        evaluate={
            name: make_evaluation(goal.logits, split)
            for name, split in splits._asdict().items()
            if isinstance(split, Split)
        },
        measure=_make_measurement(model, splits.train, settings),
        estimator=goal.estimator.name if lam > 0 else None,
        reason=goal.reason if lam > 0 else None,
        compile_seconds=time.perf_counter() - clock,
    )


def _objective(model: nn.Module, inputs: jax.Array, settings: Settings) -> objective.Objective:
    # At lambda 0 the result must not depend on the penalty's settings, such as its estimator.
    estimator = settings.penalty.estimator if float(settings.lam) > 0 else "auto"
    return objective.build(
        model,
        inputs,
        estimator=estimator,
        probes=settings.penalty.probes,
        distribution=settings.penalty.distribution,
    )


def stream(seed: int, purpose: str) -> jax.Array:
    """The key of a seed's random numbers for one purpose of `STREAMS`."""
    return jax.random.fold_in(jax.random.key(seed), STREAMS[purpose])


def epoch_order(settings: Settings, epoch: int, examples: int) -> np.ndarray:
    """Row numbers [steps, B] of the batches of an epoch (from 0), without a last smaller batch."""
    rng = np.random.default_rng([STREAMS["order"], seed_of(settings, "order"), epoch])
    batch = settings.batch
    return rng.permutation(examples)[: examples // batch * batch].reshape(-1, batch)


def _initialize(
    model: nn.Module, optimizer: optax.GradientTransformation, inputs: jax.Array, key: jax.Array
) -> tuple[Params, optax.OptState]:
    initialize = jax.jit(partial(model.init, train=False))
    params = initialize(key, inputs)["params"]
    return params, optimizer.init(params)


def _compile(
    run: Callable[..., Any],
    initial: Callable[[], tuple[Params, optax.OptState]],
    fed: Batches,
    order: tuple[int, int],
    streams: Streams,
) -> Callable[..., Any]:
    plan = fed.plan(np.zeros(order, np.int64))
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (fed.examples, plan)
    )
    return (
        jax.jit(run)
        .lower(
            *jax.eval_shape(initial),
            jax.eval_shape(partial(steps.no_sums, 0)),
            *shapes,
            jax.ShapeDtypeStruct((), jnp.float32),
            streams,
        )
        .compile()
    )


def _make_measurement(
    model: nn.Module, split: Split, settings: Settings
) -> Callable[[Params, int], tuple[float, float]]:
    """tr(H^2) and its standard error on the first examples of the training split."""
    probes = settings.epoch_measure.probes
    rows = np.arange(min(settings.epoch_measure.examples, len(split.y)))
    x, y = jnp.asarray(split.inputs(rows)), jnp.asarray(split.y[rows])
    key = stream(settings.seed, "measurement")

    @jax.jit
    def coarse(params: Params, x: jax.Array, y: jax.Array, epoch_key: jax.Array) -> Any:
        loss = lambda p: models.loss_without_dropout(model, p, x, y)  # noqa: E731
        return curvature.coarse_tr_h2(loss, params, epoch_key, probes)

    def measure(params: Params, epoch: int) -> tuple[float, float]:
        value, stderr = coarse(params, x, y, jax.random.fold_in(key, epoch))
        return float(value), float(stderr)

    return measure


def _train_epoch(trainer: Trainer, state: State) -> State:
    clock = time.perf_counter()
    params, opt_state, sums = _run_epoch(trainer, state)
    seconds = state.seconds | {"train": state.seconds["train"] + time.perf_counter() - clock}
    if not bool(sums.finite):
        return state._replace(seconds=seconds, status=DIVERGED, diverged_step=int(sums.step))
    clock = time.perf_counter()
    row = _describe_epoch(trainer, params, sums, epoch=state.epoch + 1)
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


def _run_epoch(trainer: Trainer, state: State) -> tuple[Params, optax.OptState, Sums]:
    order = epoch_order(trainer.settings, state.epoch, len(trainer.splits.train.y))
    sums = steps.no_sums(state.epoch * trainer.steps_per_epoch)
    plan = trainer.batches.plan(order)
    fixed = (trainer.batches.examples, plan, np.float32(trainer.weight), trainer.streams)
    return jax.block_until_ready(trainer.run_epoch(state.params, state.optimizer, sums, *fixed))


def _describe_epoch(trainer: Trainer, params: Params, sums: Sums, *, epoch: int) -> Row:
    """The row of an epoch, with `EPOCH_COLUMNS`; None where a quantity does not exist."""
    settings, count = trainer.settings, trainer.steps_per_epoch
    validation_loss, validation_accuracy = trainer.evaluate["validation"](params)
    _, test_accuracy = trainer.evaluate["test"](params)
    tr_h2, tr_h2_stderr = trainer.measure(params, epoch)
    penalized = int(sums.penalized)
    training_tr_h2 = float(sums.tr_h2) / penalized if penalized else None
    return {
        "epoch": epoch,
        "step": int(sums.step),
        "learning_rate": float(trainer.schedule(int(sums.step) - 1)),
        "train_loss": float(sums.loss) / count,
        "train_accuracy": float(sums.correct) / (count * settings.batch),
        "validation_loss": finite(validation_loss),
        "validation_accuracy": validation_accuracy,
        "test_accuracy": finite(test_accuracy),
        "penalty": None if training_tr_h2 is None else training_tr_h2 * trainer.weight,
        "tr_h2_training": training_tr_h2,
        "gradient_norm": float(sums.gradient_norm) / count,
        "tr_h2": finite(tr_h2),
        "tr_h2_stderr": finite(tr_h2_stderr),
    }


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
