"""The penalty in a training step: a drop-in for `jax.value_and_grad`."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flatreg.penalty.errors import LossError, StepError, WeightError
from flatreg.penalty.estimator import (
    Estimator,
    Params,
    check_arguments,
    described,
    is_count,
    is_numeric,
    is_real_number,
    named,
    verify_where_known,
)


class Value(NamedTuple):
    """The parts of a step's loss.

    Attributes:
        loss: task loss.
        tr_h2: the estimate, of tr(H^2) or whatever else is the estimator's `target`; 0 on a step
            without one.
        applied: whether the penalty was applied on this step.
        aux: the auxiliary output of the task; None without `has_aux`.
    """

    loss: jax.Array
    tr_h2: jax.Array
    applied: jax.Array
    aux: Any


def value_and_grad(
    estimator: Estimator,
    *,
    interval: int = 1,
    task: Callable[..., Any] | None = None,
    has_aux: bool = False,
    shared: Collection[str] | None = None,
) -> Callable[..., tuple[Value, Params]]:
    """Loss and gradient of L_task + weight * tr(H^2), with the penalty only on every k-th step.

    Args:
        estimator: estimator of tr(H^2), or of another trace in its place: its `target`.
        interval: k; the penalty is applied if k divides the step.
        task: the loss to train, if it differs from the loss of H, such as by dropout:
            `task(zeta, x, *labels, **arguments) -> []`, in the estimator's coordinates.
        has_aux: whether `task` returns (loss, aux).
        shared: names of the keyword arguments that reach the loss of H as well as the task, such
            as a mask. By default all of them without a `task`; with one, those that the
            estimator's loss names in its signature.

    Returns:
        `f(params, x, *labels, key=, weight=, step=, **arguments) -> (Value, gradient)`. `weight` is
        that of one application (see `scale`) and may be traced, so that one compiled step serves
        every weight. `step` may be left out if `interval` is 1.

    Raises:
        StepError: `interval` is not a whole number above 0; at a call, the step is missing.
        WeightError: at a call, the weight is not a number, shape []; or, where it is not traced,
            not finite or below 0.
        LossError: at a call, the task's loss is not a real number. A call also raises the errors
            of `estimator`.
    """
    check_interval(interval)
    of_task = _task(estimator, task, has_aux)
    of_h = _arguments_of_h(estimator, task, shared)
    plain_step = _plain_step(estimator, of_task)

    def run(
        params: Params,
        x: Any,
        *labels: Any,
        key: jax.Array,
        weight: jax.Array | float,
        step: jax.Array | int | None = None,
        **arguments: Any,
    ) -> tuple[Value, Params]:
        ours = of_h(arguments)
        check_arguments(estimator, params, x, *labels, **ours)
        check_weight(weight)
        if step is None and interval > 1:
            raise StepError("step", "missing", f"the step's number, as {interval} is to divide it")

        def plain() -> tuple[Value, Params]:
            return plain_step(params, x, *labels, **arguments)

        def penalized() -> tuple[Value, Params]:
            def total(params: Params) -> tuple[jax.Array, Value]:
                zeta = estimator.enter(params, x)
                loss, value = of_task(zeta, x, *labels, **arguments)
                tr_h2 = estimator.trace(zeta, x, *labels, key=key, **ours).astype(loss.dtype)
                return loss + weight * tr_h2, value._replace(tr_h2=tr_h2, applied=jnp.bool_(True))

            return _differentiate(total, params)

        if interval == 1:
            found = penalized()
        else:
            found = jax.lax.cond(jnp.asarray(step) % interval == 0, penalized, plain)
        verify_where_known(estimator, params, x, *labels)
        return found

    return run


def value_and_grads(
    estimator: Estimator,
    *,
    task: Callable[..., Any] | None = None,
    has_aux: bool = False,
    shared: Collection[str] | None = None,
) -> Callable[..., tuple[Value, Params, Params]]:
    """Like `value_and_grad` on a step with the penalty, with its two gradients apart.

    So their norms can be compared, or the second kept out of an optimizer's moments. It costs
    little more: of what is differentiated, the task and tr(H^2) share only `estimator.enter`.

    Returns:
        `f(params, x, *labels, key=, **arguments) -> (Value, gradient of the task, gradient of
        tr(H^2))`, the latter without a weight.
    """
    of_task = _task(estimator, task, has_aux)
    of_h = _arguments_of_h(estimator, task, shared)
    plain_step = _plain_step(estimator, of_task)

    def run(
        params: Params, x: Any, *labels: Any, key: jax.Array, **arguments: Any
    ) -> tuple[Value, Params, Params]:
        ours = of_h(arguments)
        check_arguments(estimator, params, x, *labels, **ours)

        def trace(params: Params) -> jax.Array:
            return estimator.trace(estimator.enter(params, x), x, *labels, key=key, **ours)

        value, task_gradient = plain_step(params, x, *labels, **arguments)
        tr_h2, gradient = jax.value_and_grad(trace)(params)
        verify_where_known(estimator, params, x, *labels)
        value = value._replace(tr_h2=tr_h2.astype(value.loss.dtype), applied=jnp.bool_(True))
        return value, task_gradient, gradient

    return run


def plain_value_and_grad(
    estimator: Estimator,
    *,
    task: Callable[..., Any] | None = None,
    has_aux: bool = False,
    shared: Collection[str] | None = None,
) -> Callable[..., tuple[Value, Params]]:
    """Like `value_and_grad`, without the penalty: `f(params, x, *labels, **arguments)`."""
    step = _plain_step(estimator, _task(estimator, task, has_aux))
    of_h = _arguments_of_h(estimator, task, shared)

    def run(params: Params, x: Any, *labels: Any, **arguments: Any) -> tuple[Value, Params]:
        check_arguments(estimator, params, x, *labels, **of_h(arguments))
        return step(params, x, *labels, **arguments)

    return run


def _arguments_of_h(
    estimator: Estimator, task: Callable[..., Any] | None, shared: Collection[str] | None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The choice, from a step's keyword arguments, of those that the loss of H takes too."""
    if shared is None and task is None:
        return dict
    names = named(estimator.loss) if shared is None else shared
    return lambda arguments: {name: arguments[name] for name in arguments if name in names}


def _plain_step(
    estimator: Estimator, of_task: Callable[..., tuple[jax.Array, Value]]
) -> Callable[..., tuple[Value, Params]]:
    def step(params: Params, x: Any, *labels: Any, **arguments: Any) -> tuple[Value, Params]:
        return _differentiate(
            lambda p: of_task(estimator.enter(p, x), x, *labels, **arguments), params
        )

    return step


def _task(
    estimator: Estimator, task: Callable[..., Any] | None, has_aux: bool
) -> Callable[..., tuple[jax.Array, Value]]:
    objective = estimator.loss if task is None else task

    def of_task(zeta: Any, *batch: Any, **arguments: Any) -> tuple[jax.Array, Value]:
        found = objective(zeta, *batch, **arguments)
        if has_aux and not (isinstance(found, tuple) and len(found) == 2):
            raise LossError("task", f"a function that returns {described(found)}", "(loss, aux)")
        loss, aux = found if has_aux else (found, None)
        if not is_real_number(loss):
            expected = "one that returns a real number, shape [], or has_aux=True"
            raise LossError("task", f"a function that returns {described(loss)}", expected)
        return loss, Value(loss, jnp.zeros_like(loss), jnp.bool_(False), aux)

    return of_task


def _differentiate(
    function: Callable[[Params], tuple[jax.Array, Value]], params: Params
) -> tuple[Value, Params]:
    (_, value), gradient = jax.value_and_grad(function, has_aux=True)(params)
    return value, gradient


def scale(lam: float, *, batch: int, interval: int, scaling: str) -> float:
    """The weight of tr(H^2) in the loss of a step with the penalty.

    Args:
        lam: lambda, finite and at least 0.
        batch: mini-batch size B.
        interval: the penalty is applied every `interval`-th step.
        scaling: "per_application" gives lambda / B, the original's; "interval_fold" gives
            interval * lambda / B, which keeps the mean over all steps at lambda / B.

    Raises:
        WeightError, StepError: an argument is out of range, or `scaling` is unknown.
    """
    check_interval(interval)
    folds = {"per_application": 1, "interval_fold": interval}
    for name, given in (("lam", lam), ("batch", batch)):
        if isinstance(given, jax.core.Tracer):
            raise WeightError(name, f"traced, {described(given)}", "a number that is known: no jit")
    if not 0 <= lam < math.inf:
        raise WeightError("lam", repr(lam), "a finite number of at least 0")
    if batch < 1:
        raise WeightError("batch", repr(batch), "a number of examples, at least 1")
    if scaling not in folds:
        raise WeightError("scaling", repr(scaling), f"one of {', '.join(folds)}")
    return lam / batch * folds[scaling]


def check_weight(weight: Any) -> None:
    """Check the weight of tr(H^2) in a step; one that is traced for its shape and type alone.

    Raises:
        WeightError: it is not a finite real number of at least 0, shape [].
    """
    if not is_numeric(weight) or jnp.issubdtype(jnp.result_type(weight), jnp.complexfloating):
        raise WeightError("weight", described(weight), "a real number")
    if jnp.shape(weight) != ():
        raise WeightError("weight", described(jnp.asarray(weight)), "one number, shape []")
    if not isinstance(weight, jax.core.Tracer) and not 0 <= float(weight) < math.inf:
        raise WeightError("weight", repr(weight), "a finite number of at least 0")


def check_interval(interval: int) -> None:
    """Check the interval between two applications of the penalty.

    Raises:
        StepError: it is not a whole number of at least 1.
    """
    if not is_count(interval):
        raise StepError("interval", repr(interval), "a whole number of at least 1")
