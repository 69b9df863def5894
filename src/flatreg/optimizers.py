"""Optimizers and schedules by their optax names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import optax

from flatreg.errors import UserError


def build(
    settings: dict[str, Any], steps_per_epoch: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer of a run and the learning-rate schedule it follows.

    The gradient is clipped first (`clip_norm`, if set). Weight decay goes to the optimizer if
    it has its own (decoupled, as in adamw), else into the gradient (L2, as in adam and sgd).

    Args:
        settings: of the run; read are `optimizer`, `optimizer_arguments`, `learning_rate`,
            `schedule`, `epochs`, `weight_decay` and `clip_norm`.
        steps_per_epoch: mini-batches an epoch.

    Raises:
        UserError: optax has no such optimizer or schedule, or it refuses the arguments.
    """
    schedule = build_schedule(settings, steps_per_epoch)
    make = _named(optax, settings["optimizer"], "optimizer")
    arguments = dict(settings["optimizer_arguments"])
    decay = settings["weight_decay"]
    parts = []
    if settings["clip_norm"] is not None:
        parts.append(optax.clip_by_global_norm(settings["clip_norm"]))
    if "weight_decay" in inspect.signature(make).parameters:
        arguments["weight_decay"] = decay
    elif decay > 0:
        parts.append(optax.add_decayed_weights(decay))
    parts.append(_call(make, settings["optimizer"], learning_rate=schedule, **arguments))
    return optax.chain(*parts), schedule


def build_schedule(settings: dict[str, Any], steps_per_epoch: int) -> optax.Schedule:
    """Learning rate (per step) as a function of the step, 0 at the first.

    The schedule's peak or first value is the run's learning rate. Arguments in `*_epochs` are
    turned into steps; a `decay_steps` or `transition_steps` left out is the whole run.
    """
    name = settings["schedule"]["name"]
    make = _named(optax.schedules, name, "schedule")
    parameters = list(inspect.signature(make).parameters)
    peak = "peak_value" if "peak_value" in parameters else parameters[0]
    arguments = {peak: settings["learning_rate"]}
    for span in ("decay_steps", "transition_steps"):
        if span in parameters:
            arguments[span] = settings["epochs"] * steps_per_epoch
    for key, value in settings["schedule"].items():
        if key.endswith("_epochs"):
            arguments[key.removesuffix("_epochs") + "_steps"] = round(value * steps_per_epoch)
        elif key != "name":
            arguments[key] = value
    return _call(make, name, **arguments)


def _named(module: Any, name: str, kind: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        raise UserError(f"{kind} {name!r} is not in optax; see optax's documentation for its names")
    return found


def _call(make: Callable[..., Any], name: str, **arguments: Any) -> Any:
    try:
        return make(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {error}; mend its arguments in the config") from error
