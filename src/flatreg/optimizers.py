"""Optimizers and schedules by their optax names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import jax
import numpy as np
import optax

from flatreg.errors import UserError


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
    make = _named(optax, settings.optimizer, "optimizer")
    arguments = dict(settings.optimizer_arguments)
    parts = []
    if settings.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(settings.clip_norm))
    if "weight_decay" in inspect.signature(make).parameters:
        arguments["weight_decay"] = weight_decay
    elif settings.weight_decay > 0:
        parts.append(optax.add_decayed_weights(weight_decay))
    parts.append(_call(make, settings.optimizer, learning_rate=learning_rate, **arguments))
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
    arguments = {peak: settings.learning_rate}
    for span in ("decay_steps", "transition_steps"):
        if span in parameters:
            arguments[span] = settings.epochs * steps_per_epoch
    for key, value in settings.schedule.items():
        if key.endswith("_epochs"):
            arguments[key.removesuffix("_epochs") + "_steps"] = round(value * steps_per_epoch)
        elif key != "name":
            arguments[key] = value
    return _call(make, name, **arguments)


def _named(module: Any, name: str, kind: str) -> Callable[..., Any]:
    make = getattr(module, name, None)
    if not callable(make):
        raise UserError(f"{kind} {name!r} is not in optax; see optax's documentation for its names")
    return make


def _call(make: Callable[..., Any], name: str, **arguments: Any) -> Any:
    try:
        return make(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {error}; correct its arguments in the config") from error
