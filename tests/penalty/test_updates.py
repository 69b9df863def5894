"""The penalty as a link of an Optax chain, held against `value_and_grad`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flatreg import penalty
from flatreg.penalty.updates import add_penalty

from .truth import tr_h2_of

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(8, 4)), jnp.float32)
PARAMS = {"w": jnp.asarray(RNG.normal(size=4), jnp.float32)}
WEIGHT, RATE = 0.05, 0.1


def loss(params: Any, x: Any, scale: Any = 1.0) -> Any:
    return jnp.mean(jnp.cosh(x @ params["w"])) * scale


ESTIMATOR = penalty.autodiff(loss)


def trained(optimizer: Any, batches: list[Any]) -> list[Any]:
    """The parameters after each update of the task's gradient alone."""
    params, state, path = PARAMS, optimizer.init(PARAMS), []
    update = jax.jit(optimizer.update)
    for x in batches:
        gradient = jax.grad(loss)(params, x)
        updates, state = update(gradient, state, params, batch=(x,))
        params = optax.apply_updates(params, updates)
        path.append(params["w"])
    return path


@pytest.mark.parametrize("interval", [1, 2])
def test_first_in_a_chain_it_gives_what_value_and_grad_gives(interval: int) -> None:
    link = add_penalty(ESTIMATOR, WEIGHT, key=KEY, interval=interval)
    path = trained(optax.chain(link, optax.sgd(RATE, momentum=0.9)), [X] * 4)
    step = jax.jit(penalty.value_and_grad(ESTIMATOR, interval=interval))
    optimizer = optax.sgd(RATE, momentum=0.9)
    params, state = PARAMS, optimizer.init(PARAMS)
    for number, after in enumerate(path, start=1):
        key = jax.random.fold_in(KEY, number)
        _, gradient = step(params, X, key=key, weight=WEIGHT, step=number)
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(after, params["w"], rtol=1e-5)


def test_after_adam_it_is_decoupled() -> None:
    """Of a loss with a constant gradient but for one parameter, whose Hessian is known."""

    def cosh(params: Any, x: Any) -> Any:
        return jnp.cosh(params["w"][0]) + jnp.sum(params["w"][1:])

    link = add_penalty(penalty.autodiff(cosh), WEIGHT, key=KEY)
    chain = optax.chain(optax.scale_by_adam(), link, optax.scale_by_learning_rate(RATE))
    gradient = jax.grad(cosh)(PARAMS, X)
    updates, _ = chain.update(gradient, chain.init(PARAMS), PARAMS, batch=(X,))
    adam = optax.adam(RATE)
    alone, _ = adam.update(gradient, adam.init(PARAMS))
    _, slope = tr_h2_of(lambda p: cosh(p, X), PARAMS)
    np.testing.assert_allclose(updates["w"], alone["w"] - RATE * WEIGHT * slope, rtol=1e-5)


def test_under_multi_steps_it_counts_the_updates() -> None:
    """Two micro-batches an update; the penalty on every second update, on its last micro-batch."""
    link = add_penalty(ESTIMATOR, WEIGHT, key=KEY, interval=2)
    optimizer = optax.MultiSteps(optax.chain(link, optax.sgd(RATE)), every_k_schedule=2)
    halves = [X[:4], X[4:]]
    path = trained(optimizer, halves * 2)
    first = PARAMS["w"] - RATE * jax.grad(loss)(PARAMS, X)["w"]
    np.testing.assert_allclose(path[0], PARAMS["w"])
    np.testing.assert_allclose(path[1], first, rtol=1e-5)
    step = penalty.value_and_grad(ESTIMATOR)
    at, key = {"w": first}, jax.random.fold_in(KEY, 2)
    penalized = step(at, X[4:], key=key, weight=WEIGHT)[1]["w"] - jax.grad(loss)(at, X[4:])["w"]
    second = first - RATE * (jax.grad(loss)(at, X)["w"] + penalized)
    np.testing.assert_allclose(path[3], second, rtol=1e-5)


def test_a_schedule_of_weights_and_arguments_of_the_loss() -> None:
    link = add_penalty(ESTIMATOR, lambda step: WEIGHT * step, key=KEY)
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    state = link.init(PARAMS)
    for number in (1, 2):
        updates, state = link.update(zero, state, PARAMS, batch=(X,), arguments={"scale": 3.0})
        key = jax.random.fold_in(KEY, number)
        slope = jax.grad(lambda p, k=key: ESTIMATOR(p, X, key=k, scale=3.0))(PARAMS)
        np.testing.assert_allclose(updates["w"], WEIGHT * number * slope["w"], rtol=1e-5)


def test_arguments_of_other_links_pass() -> None:
    """A line search's function is given the batch too, as Optax gives it all extra arguments."""
    chain = optax.chain(
        add_penalty(ESTIMATOR, 0.0, key=KEY),
        optax.scale_by_backtracking_linesearch(max_backtracking_steps=3),
    )
    value, gradient = jax.value_and_grad(loss)(PARAMS, X)
    updates, _ = chain.update(
        gradient,
        chain.init(PARAMS),
        PARAMS,
        batch=(X,),
        value=value,
        grad=gradient,
        value_fn=lambda p, batch: loss(p, *batch),
    )
    assert jnp.all(jnp.isfinite(updates["w"]))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"params": None, "batch": (X,)}, penalty.ArgumentError, "params is missing"),
        ({"params": PARAMS}, penalty.BatchError, r"batch is NoneType; .*batch=\(x, \*labels\)"),
        ({"params": PARAMS, "batch": X}, penalty.BatchError, "batch is ArrayImpl"),
    ],
)
def test_an_update_says_what_it_lacks(given: Any, error: Any, message: str) -> None:
    link = add_penalty(ESTIMATOR, WEIGHT, key=KEY)
    with pytest.raises(error, match=message):
        link.update(PARAMS, link.init(PARAMS), **given)


def test_a_weight_and_an_interval_that_are_none() -> None:
    with pytest.raises(penalty.WeightError, match="weight is nan"):
        add_penalty(ESTIMATOR, float("nan"), key=KEY)
    with pytest.raises(penalty.StepError, match="interval is 0"):
        add_penalty(ESTIMATOR, WEIGHT, key=KEY, interval=0)
