"""One training, the original's Algorithm 1, as a function of data and settings.

Every random number has its own stream, named by purpose and step and drawn from the run's
seed alone: runs of one seed share initial weights, data order and dropout masks across lambdas,
and a run resumed from a checkpoint goes on with the numbers an unbroken one would have drawn.
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

from flatreg import curvature, models, optimizers, penalty
from flatreg.errors import UserError
from flatreg.splits import Features, Splits, take

Params = Any
Row = dict[str, float | int | None]

CHUNK_BYTES = 2**26
EVALUATION_BLOCK = 1000
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
    """The parameters that a run keeps, and the epoch (from 1) they are of; 0 before any."""

    params: Params
    epoch: int


class State(NamedTuple):
    """All that a training needs to go on after an epoch.

    Attributes:
        params: the current parameters.
        optimizer: optax state.
        kept: what would be kept if the run ended here.
        rows: one dictionary an epoch done.
        seconds: time spent so far: train, compile, measure.
        status: "running", "completed", "converged" or "diverged".
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
        """Epochs done."""
        return len(self.rows)


class Sums(NamedTuple):
    """Sums over the steps of one epoch, and the last step (from 1) that was taken."""

    step: jax.Array
    loss: jax.Array
    correct: jax.Array
    gradient_norm: jax.Array
    tr_h2: jax.Array
    penalized: jax.Array
    finite: jax.Array


class Trainer(NamedTuple):
    """The compiled parts of one training and the data they run on."""

    settings: dict[str, Any]
    splits: Splits
    steps_per_epoch: int
    chunk_steps: int
    penalty_scale: float
    schedule: optax.Schedule
    initial: Callable[[], tuple[Params, optax.OptState]]
    run_chunk: Callable[..., tuple[Params, optax.OptState, Sums]]
    evaluate: Callable[[Params, Features, np.ndarray], tuple[float, float]]
    measure: Callable[[Params, int], tuple[float, float]]
    compile_seconds: float


def fit(trainer: Trainer, state: State) -> Iterator[State]:
    """Train to the end from `state`, yielding the state after every epoch."""
    while state.status == "running":
        state = _train_epoch(trainer, state)
        yield state


def start(trainer: Trainer) -> State:
    """The state before the first epoch."""
    params, optimizer = trainer.initial()
    seconds = {"train": 0.0, "measure": 0.0, "compile": trainer.compile_seconds}
    return State(params, optimizer, Kept(params, 0), [], seconds, "running", None)


def make_trainer(splits: Splits, settings: dict[str, Any]) -> Trainer:
    """Compile a run's steps.

    Args:
        splits: of `flatreg.splits.prepare`.
        settings: of the run (`flatreg.config.settings`).

    Raises:
        UserError: the batch is larger than the training split.
    """
    batch = settings["batch"]
    steps = len(splits.y_train) // batch
    if steps == 0:
        raise UserError(
            f"batch {batch} is larger than the {len(splits.y_train)} training examples of "
            f"{settings['dataset']}; choose a smaller one"
        )
    width = splits.x_train.shape[1]
    chunk_steps = max(1, min(steps, CHUNK_BYTES // (4 * batch * width)))
    model = models.build(settings["model"], splits.classes)
    optimizer, schedule = optimizers.build(settings, steps)
    lam = float(settings["lambda"])
    penalty_scale = penalty.scale(
        lam,
        batch=batch,
        interval=settings["penalty"]["interval"],
        scaling=settings["penalty"]["scaling"],
    )
    initial = partial(_initialize, model, optimizer, width, settings["seed"])
    step = _make_step(model, optimizer, settings, penalized=lam > 0)
    clock = time.perf_counter()
    run_chunk = _compile_chunk(step, initial, batch, width, chunk_steps)
    return Trainer(
        settings=settings,
        splits=splits,
        steps_per_epoch=steps,
        chunk_steps=chunk_steps,
        penalty_scale=penalty_scale,
        schedule=schedule,
        initial=initial,
        run_chunk=run_chunk,
        evaluate=_make_evaluation(model),
        measure=_make_measurement(model, splits, settings),
        compile_seconds=time.perf_counter() - clock,
    )


def stream(seed: int, purpose: str) -> jax.Array:
    """The key of a run's random numbers for one purpose of `STREAMS`."""
    return jax.random.fold_in(jax.random.key(seed), STREAMS[purpose])


def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """The order [examples] in which an epoch (from 0) visits the training examples."""
    return np.random.default_rng([STREAMS["order"], seed, epoch]).permutation(examples)


def _initialize(
    model: nn.Module, optimizer: optax.GradientTransformation, width: int, seed: int
) -> tuple[Params, optax.OptState]:
    key = stream(seed, "initialization")
    params = model.init(key, jnp.zeros((1, width)), train=False)["params"]
    return params, optimizer.init(params)


def _make_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    settings: dict[str, Any],
    *,
    penalized: bool,
) -> Callable[..., Any]:
    """One step of training; without the penalty's code where lambda is 0."""
    dropout_key = stream(settings["seed"], "dropout")
    add_penalty = _make_penalty(model, settings) if penalized else _no_penalty

    def task(params: Params, x: jax.Array, y: jax.Array, step: jax.Array) -> Any:
        rngs = {"dropout": jax.random.fold_in(dropout_key, step)}
        logits = model.apply({"params": params}, x, train=True, rngs=rngs)
        return models.task_loss(logits, y), jnp.sum(models.correct(logits, y))

    def step(
        params: Params,
        opt_state: optax.OptState,
        sums: Sums,
        x: jax.Array,
        y: jax.Array,
        penalty_scale: jax.Array,
    ) -> tuple[Params, optax.OptState, Sums]:
        number = sums.step + 1
        (loss, hits), gradient = jax.value_and_grad(task, has_aux=True)(params, x, y, number)
        gradient, tr_h2, applied = add_penalty(gradient, params, x, y, number, penalty_scale)
        norm = optax.tree.norm(gradient)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        total = loss + penalty_scale * tr_h2
        return (
            optax.apply_updates(params, updates),
            opt_state,
            Sums(
                step=number,
                loss=sums.loss + loss,
                correct=sums.correct + hits,
                gradient_norm=sums.gradient_norm + norm,
                tr_h2=sums.tr_h2 + tr_h2,
                penalized=sums.penalized + applied,
                finite=jnp.isfinite(total) & jnp.isfinite(norm),
            ),
        )

    return step


def _make_penalty(model: nn.Module, settings: dict[str, Any]) -> Callable[..., Any]:
    """Add the penalty's gradient on every k-th step."""
    chosen = settings["penalty"]
    estimate = penalty.ESTIMATORS[chosen["estimator"]](
        partial(_loss, model), probes=chosen["probes"], distribution=chosen["distribution"]
    )
    probe_key = stream(settings["seed"], "probes")

    def add_penalty(
        gradient: Params,
        params: Params,
        x: jax.Array,
        y: jax.Array,
        step: jax.Array,
        penalty_scale: jax.Array,
    ) -> tuple[Params, jax.Array, jax.Array]:
        def apply() -> tuple[Params, jax.Array, jax.Array]:
            key = jax.random.fold_in(probe_key, step)
            tr_h2, slope = jax.value_and_grad(estimate)(params, x, y, key)
            return (
                jax.tree.map(lambda g, s: g + penalty_scale * s, gradient, slope),
                tr_h2,
                jnp.int32(1),
            )

        def leave() -> tuple[Params, jax.Array, jax.Array]:
            return gradient, jnp.float32(0), jnp.int32(0)

        return jax.lax.cond(step % chosen["interval"] == 0, apply, leave)

    return add_penalty


def _no_penalty(gradient: Params, *_: Any) -> tuple[Params, jax.Array, jax.Array]:
    return gradient, jnp.float32(0), jnp.int32(0)


def _loss(model: nn.Module, params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean task loss of a batch, dropout off."""
    return models.task_loss(model.apply({"params": params}, x, train=False), y)


def _compile_chunk(
    step: Callable[..., Any],
    initial: Callable[[], tuple[Params, optax.OptState]],
    batch: int,
    width: int,
    chunk_steps: int,
) -> Callable[..., tuple[Params, optax.OptState, Sums]]:
    """Up to `chunk_steps` steps in one call, stopping at the first that is not finite."""

    def run_chunk(
        params: Params,
        opt_state: optax.OptState,
        sums: Sums,
        x: jax.Array,
        y: jax.Array,
        steps: jax.Array,
        penalty_scale: jax.Array,
    ) -> tuple[Params, optax.OptState, Sums]:
        first = sums.step

        def go_on(carry: tuple[Params, optax.OptState, Sums]) -> jax.Array:
            return (carry[2].step - first < steps) & carry[2].finite

        def advance(carry: tuple[Params, optax.OptState, Sums]) -> Any:
            index = carry[2].step - first
            batch_x = jax.lax.dynamic_index_in_dim(x, index, keepdims=False)
            batch_y = jax.lax.dynamic_index_in_dim(y, index, keepdims=False)
            return step(*carry, batch_x, batch_y, penalty_scale)

        return jax.lax.while_loop(go_on, advance, (params, opt_state, sums))

    shapes = (
        *jax.eval_shape(initial),
        jax.eval_shape(partial(_empty_sums, 0)),
        jax.ShapeDtypeStruct((chunk_steps, batch, width), jnp.float32),
        jax.ShapeDtypeStruct((chunk_steps, batch), jnp.int32),
        jax.ShapeDtypeStruct((), jnp.int32),
        jax.ShapeDtypeStruct((), jnp.float32),
    )
    return jax.jit(run_chunk).lower(*shapes).compile()


def _empty_sums(step: int) -> Sums:
    zero = jnp.float32(0)
    return Sums(jnp.int32(step), zero, jnp.int32(0), zero, zero, jnp.int32(0), jnp.bool_(True))


def _make_evaluation(model: nn.Module) -> Callable[[Params, Features, np.ndarray], Any]:
    """Mean loss (nats) and accuracy over a split, NaN for an empty one."""

    @jax.jit
    def sums(params: Params, x: jax.Array, y: jax.Array, real: jax.Array) -> Any:
        logits = model.apply({"params": params}, x, train=False)
        losses = jnp.where(real, models.task_losses(logits, y), 0)
        return jnp.sum(losses), jnp.sum(models.correct(logits, y) & real)

    def evaluate(params: Params, x: Features, y: np.ndarray) -> tuple[float, float]:
        if len(y) == 0:
            return float("nan"), float("nan")
        block = min(EVALUATION_BLOCK, len(y))
        loss = hits = 0.0
        for begin in range(0, len(y), block):
            rows = np.arange(begin, begin + block)
            real = rows < len(y)
            rows = np.minimum(rows, len(y) - 1)
            block_loss, block_hits = sums(params, take(x, rows), y[rows], real)
            loss += float(block_loss)
            hits += float(block_hits)
        return loss / len(y), hits / len(y)

    return evaluate


def _make_measurement(
    model: nn.Module, splits: Splits, settings: dict[str, Any]
) -> Callable[[Params, int], tuple[float, float]]:
    """tr(H^2) and its standard error on the first examples of the training split."""
    chosen = settings["epoch_measure"]
    rows = np.arange(min(chosen["examples"], len(splits.y_train)))
    x, y = jnp.asarray(take(splits.x_train, rows)), jnp.asarray(splits.y_train[rows])
    key = stream(settings["seed"], "measurement")

    @jax.jit
    def coarse(params: Params, x: jax.Array, y: jax.Array, epoch_key: jax.Array) -> Any:
        loss = lambda p: _loss(model, p, x, y)  # noqa: E731
        return curvature.coarse_tr_h2(loss, params, epoch_key, chosen["probes"])

    def measure(params: Params, epoch: int) -> tuple[float, float]:
        value, stderr = coarse(params, x, y, jax.random.fold_in(key, epoch))
        return float(value), float(stderr)

    return measure


def _train_epoch(trainer: Trainer, state: State) -> State:
    clock = time.perf_counter()
    params, opt_state, sums = _run_epoch(trainer, state)
    seconds = state.seconds | {"train": state.seconds["train"] + time.perf_counter() - clock}
    if not bool(sums.finite):
        return state._replace(seconds=seconds, status="diverged", diverged_step=int(sums.step))
    clock = time.perf_counter()
    row = _describe_epoch(trainer, params, sums, epoch=state.epoch + 1)
    seconds["measure"] += time.perf_counter() - clock
    rows = [*state.rows, row]
    return State(
        params=params,
        optimizer=opt_state,
        kept=_keep(trainer.settings["selection"], state, Kept(params, state.epoch + 1), row),
        rows=rows,
        seconds=seconds,
        status=_status(rows, trainer.settings),
        diverged_step=None,
    )


def _run_epoch(trainer: Trainer, state: State) -> tuple[Params, optax.OptState, Sums]:
    settings, splits = trainer.settings, trainer.splits
    batch, length = settings["batch"], trainer.chunk_steps
    order = epoch_order(settings["seed"], state.epoch, len(splits.y_train))
    params, opt_state = state.params, state.optimizer
    sums = _empty_sums(state.epoch * trainer.steps_per_epoch)
    for begin in range(0, trainer.steps_per_epoch, length):
        steps = min(length, trainer.steps_per_epoch - begin)
        rows = order[begin * batch : (begin + steps) * batch]
        rows = np.resize(rows, length * batch)
        params, opt_state, sums = trainer.run_chunk(
            params,
            opt_state,
            sums,
            take(splits.x_train, rows).reshape(length, batch, -1),
            splits.y_train[rows].reshape(length, batch),
            np.int32(steps),
            np.float32(trainer.penalty_scale),
        )
        if not bool(sums.finite):
            break
    return params, opt_state, sums


def _describe_epoch(trainer: Trainer, params: Params, sums: Sums, *, epoch: int) -> Row:
    """One row of `EPOCH_COLUMNS`; None where a quantity does not exist."""
    settings, splits, steps = trainer.settings, trainer.splits, trainer.steps_per_epoch
    validation_loss, validation_accuracy = trainer.evaluate(
        params, splits.x_validation, splits.y_validation
    )
    _, test_accuracy = trainer.evaluate(params, splits.x_test, splits.y_test)
    tr_h2, tr_h2_stderr = trainer.measure(params, epoch)
    penalized = int(sums.penalized)
    training_tr_h2 = float(sums.tr_h2) / penalized if penalized else None
    return {
        "epoch": epoch,
        "step": int(sums.step),
        "learning_rate": float(trainer.schedule(int(sums.step) - 1)),
        "train_loss": float(sums.loss) / steps,
        "train_accuracy": float(sums.correct) / (steps * settings["batch"]),
        "validation_loss": finite(validation_loss),
        "validation_accuracy": validation_accuracy,
        "test_accuracy": finite(test_accuracy),
        "penalty": None if training_tr_h2 is None else training_tr_h2 * trainer.penalty_scale,
        "tr_h2_training": training_tr_h2,
        "gradient_norm": float(sums.gradient_norm) / steps,
        "tr_h2": finite(tr_h2),
        "tr_h2_stderr": finite(tr_h2_stderr),
    }


def finite(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return value if np.isfinite(value) else None


def _keep(selection: str, state: State, latest: Kept, row: Row) -> Kept:
    """The latest parameters, or the best so far on the validation split, ties by its loss."""
    if selection == "last" or state.kept.epoch == 0:
        return latest
    best = state.rows[state.kept.epoch - 1]
    return latest if _merit(row) > _merit(best) else state.kept


def _merit(row: Row) -> tuple[float, float]:
    loss = row["validation_loss"]
    return row["validation_accuracy"], -np.inf if loss is None else -loss


def _status(rows: list[Row], settings: dict[str, Any]) -> str:
    if _has_converged(rows, settings["convergence"]):
        return "converged"
    return "completed" if len(rows) == settings["epochs"] else "running"


def _has_converged(rows: list[Row], convergence: dict[str, Any]) -> bool:
    """Whether the validation loss has not fallen by `min_delta` for `patience` epochs."""
    patience = convergence["patience"]
    if patience is None or len(rows) <= patience:
        return False
    losses = [np.inf if r["validation_loss"] is None else r["validation_loss"] for r in rows]
    return min(losses[-patience:]) > min(losses[:-patience]) - convergence["min_delta"]
