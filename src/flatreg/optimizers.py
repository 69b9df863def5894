"""Optimizers and schedules by their optax names."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flatreg.errors import UserError, nearest

# Arguments of an optimizer that have fields of their own.
BESIDE = ("learning_rate", "weight_decay")


class ScheduleSettings(Protocol):
    """The settings of a training that determine its learning rate."""

    @property
    def learning_rate(self) -> float:
        """First or peak rate."""

    @property
    def schedule(self) -> Mapping[str, Any]:
        """`name` and arguments of the schedule, with spans in steps or in `*_epochs`."""

    @property
    def epochs(self) -> int:
        """Passes over the training examples."""


class OptimizerSettings(ScheduleSettings, Protocol):
    """The settings of a training that determine its optimizer."""

    @property
    def optimizer(self) -> str:
        """Its optax name."""

    @property
    def optimizer_arguments(self) -> Mapping[str, Any]:
        """Its further arguments, by their optax names."""

    @property
    def weight_decay(self) -> float:
        """Decoupled if the optimizer has weight decay, else L2 in the gradient."""

    @property
    def clip_norm(self) -> float | None:
        """Largest norm of the whole gradient; None for no clipping."""


def build(
    settings: OptimizerSettings, learning_rate: Any, weight_decay: Any
) -> optax.GradientTransformation:
    """The optimizer of one step of a run.

    The gradient is clipped first (`clip_norm`, if set). Weight decay goes to the optimizer if
    it has that argument (decoupled, as in adamw), else into the gradient (L2, as in adam and sgd).

    Args:
        settings: of the training; its own rates only tell whether there is weight decay.
        learning_rate: of the step, a number or a traced array [], so that runs with other rates
            share one compiled step.
        weight_decay: likewise.

    Raises:
        UserError: optax has no such optimizer, or it refuses the arguments.
    """
    name = settings.optimizer
    make = _named(optax, name, "optimizer")
    known, given = inspect.signature(make).parameters, settings.optimizer_arguments
    # An overlay takes arguments of another optimizer away by null.
    arguments = {key: value for key, value in given.items() if value is not None or key in known}
    for key in sorted(arguments.keys() & set(BESIDE)):
        raise UserError(f"optimizer_arguments: {key} has a field of its own; write it there")
    parts = []
    if settings.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(settings.clip_norm))
    if "weight_decay" in known:
        arguments["weight_decay"] = weight_decay
    elif settings.weight_decay > 0:
        parts.append(optax.add_decayed_weights(weight_decay))
    arguments["learning_rate"] = learning_rate
    parts.append(_call(make, name, arguments, BESIDE, "optimizer_arguments"))
    return optax.chain(*parts)


def learning_rates(settings: ScheduleSettings, steps_per_epoch: int) -> np.ndarray:
    """The learning rate of every step of a run: [steps].

    Args:
        settings: of the training, with its learning rate.
        steps_per_epoch: mini-batches per epoch.

    Raises:
        UserError: optax has no such schedule, or it refuses the arguments.
    """
    schedule = build_schedule(settings, steps_per_epoch)
    steps = np.arange(settings.epochs * steps_per_epoch)
    if isinstance(constant := schedule(0), float):
        return np.full(len(steps), constant)
    # One step after another: a vectorized cosine rounds otherwise.
    return np.asarray(jax.jit(partial(jax.lax.map, schedule))(steps))


def build_schedule(settings: ScheduleSettings, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the step, which starts at 0.

    The run's learning rate is the schedule's peak, or else its first value. Arguments in `*_epochs`
    are converted to steps; `decay_steps` and `transition_steps` default to the whole run.
    """
    name = settings.schedule["name"]
    make = _named(optax.schedules, name, "schedule")
    parameters = list(inspect.signature(make).parameters)
    peak = "peak_value" if "peak_value" in parameters else parameters[0]
    given = {key: value for key, value in settings.schedule.items() if key != "name"}
    if peak in given:
        raise UserError(f"schedule: {peak} of {name} is the learning_rate; write it there")
    arguments = {peak: settings.learning_rate}
    for span in ("decay_steps", "transition_steps"):
        if span in parameters:
            arguments[span] = settings.epochs * steps_per_epoch
    arguments |= _in_steps(given, parameters, steps_per_epoch)
    return _call(make, name, arguments, [peak], "schedule")


def _in_steps(
    given: Mapping[str, Any], parameters: Sequence[str], steps_per_epoch: int
) -> dict[str, Any]:
    """The arguments of a schedule, those in `*_epochs` converted to steps."""
    arguments = {}
    for key, value in given.items():
        span = key.removesuffix("_epochs") + "_steps"
        if key.endswith("_steps") and key.removesuffix("_steps") + "_epochs" in given:
            raise UserError(f"schedule: {key} is given in epochs too; keep one")
        if not key.endswith("_epochs") or span not in parameters:
            arguments[key] = value
            continue
        if value is None or isinstance(value, bool):
            raise UserError(f"schedule: {key} must be a number of epochs, not {_written(value)}")
        arguments[span] = round(value * steps_per_epoch)
    return arguments


# ── What a config may ask for ─────────────────────────────────────────────────

# Whole numbers are held in 32 bits on the device.
LARGEST_WHOLE = 2**31 - 1
# Steps at which a schedule is tried, and steps that an optimizer takes for trial.
TRIED_RATES, TRIED_STEPS = 33, 3
# Rates with which it is tried, since those of the config may be of a search.
TRIED_RATE, TRIED_DECAY = np.float32(0.01), np.float32(1e-4)
# What runs once is compiled quickly.
UNOPTIMIZED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def check_optimizer(settings: OptimizerSettings) -> None:
    """Take a few steps, as a training does, unless all arguments are Optax's own.

    Raises:
        UserError: optax refuses the arguments, or its steps give no number.
    """
    optimizer = build(settings, TRIED_RATE, TRIED_DECAY)
    if not settings.optimizer_arguments:
        return
    where = f"optimizer_arguments: {settings.optimizer}"
    try:
        params = _trial(optimizer)
    except Exception as error:  # optax's functions raise whatever their operations raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{where} takes no step ({reason}); correct its arguments") from error
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
        raise UserError(f"{where} gives no number after {TRIED_STEPS} steps; correct its arguments")


def _trial(optimizer: optax.GradientTransformation) -> Any:
    """Parameters after a few steps, of a loop as in a training: no type may change in it."""
    start = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}

    def step(number: jax.Array, carry: Any) -> Any:
        params, state = carry
        gradient = jax.tree.map(lambda leaf: 0.01 * (leaf + 1 + number), params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    @partial(jax.jit, compiler_options=UNOPTIMIZED)
    def run(params: Any) -> Any:
        return jax.lax.fori_loop(0, TRIED_STEPS, step, (params, optimizer.init(params)))[0]

    return jax.device_get(run(start))


def check_schedule(settings: ScheduleSettings, steps_per_epoch: int) -> None:
    """Compute the rates of some steps, unless the schedule has no arguments of its own.

    The first and the last step of the run are among them.

    Raises:
        UserError: optax refuses the arguments, or a rate is negative or no number.
    """
    schedule, name = build_schedule(settings, steps_per_epoch), settings.schedule["name"]
    if len(settings.schedule) == 1:
        return
    last = settings.epochs * steps_per_epoch - 1
    steps = np.unique(np.linspace(0, last, TRIED_RATES).astype(int))
    try:
        jax.eval_shape(schedule, jax.ShapeDtypeStruct((), np.int32))
        # Without a program for all of them, which would take longer to compile.
        rates = np.array([float(schedule(int(step))) for step in steps])
    except Exception as error:  # as of an optimizer
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"schedule: {name}: {reason}; correct its arguments") from error
    wrong = ~(np.isfinite(rates) & (rates >= 0))
    if wrong.any():
        step, rate = steps[wrong][0] + 1, rates[wrong][0]
        raise UserError(
            f"schedule: {name} gives the learning rate {rate:g} at step {step}; correct its"
            " arguments"
        )


def _named(module: Any, name: str, kind: str) -> Callable[..., Any]:
    make = getattr(module, name, None)
    if not callable(make):
        raise UserError(f"{kind} {name!r} is not in optax; see optax's documentation for its names")
    return make


def _call(
    make: Callable[..., Any],
    name: str,
    arguments: Mapping[str, Any],
    beside: Collection[str],
    where: str,
) -> Any:
    """What a function of optax makes of its arguments.

    Args:
        make: the function.
        name: of it.
        arguments: all of them.
        beside: those that have a field of their own in the config.
        where: the field of the others.

    Raises:
        UserError: it has no such argument, lacks one, or refuses a value.
    """
    known = inspect.signature(make).parameters
    for key in sorted(arguments.keys() - known.keys()):
        others = [*(other for other in known if other not in beside), *_spans(known, where)]
        hint = nearest(key, others)
        if "did you mean" not in hint:
            hint += "; take an inherited one away with null"
        raise UserError(f"{where}: {name} has no argument {key!r}{hint}")
    lacking = [k for k, p in known.items() if p.default is p.empty and k not in arguments]
    if lacking:
        raise UserError(f"{where}: {name} needs {' and '.join(lacking)}; add what is missing")
    for key, value in arguments.items():
        if key not in beside and (wrong := _wrong(known[key], value)):
            raise UserError(f"{where}: {key} of {name} must be {wrong}, not {_written(value)}")
    try:
        return make(**arguments)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{where}: {name}: {error}; correct its arguments in the config") from error


def _wrong(parameter: inspect.Parameter, value: Any) -> str | None:
    """What an argument must be, if it is not; Optax passes over some of these in silence."""
    flag, kind = isinstance(value, bool), str(parameter.annotation)
    if isinstance(parameter.default, bool) and not flag:
        return "true or false"
    if flag and ("float" in kind or "int" in kind):
        return "a number"
    if value is None or flag:
        return None
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return f"at most {LARGEST_WHOLE}"
    if parameter.name in ("decay_steps", "transition_steps") and value <= 0:
        return "above 0"
    if parameter.name in ("warmup_steps", "transition_begin") and value < 0:
        return "at least 0"
    return "another number" if parameter.name == "decay_rate" and value == 0 else None


def _written(value: Any) -> str:
    """A value as the config writes it."""
    return json.dumps(value, default=str)


def _spans(known: Collection[str], where: str) -> list[str]:
    """The spans of a schedule as the config may write them, in epochs."""
    steps = [name for name in known if name.endswith("_steps") and where == "schedule"]
    return [name.removesuffix("_steps") + "_epochs" for name in steps]
