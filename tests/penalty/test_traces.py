"""tr(H) against dense Hessians; and in a training, all estimators of the penalty's rivals."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import models, objective, penalty
from flatreg.penalty.updates import add_penalty

from .every_sign import KEY, assert_equal, estimated, with_slope
from .problems import Problem, cross_entropy, make

pytestmark = pytest.mark.usefixtures("double_precision")

SHAPES = {
    "one hidden layer": {"width": 2, "hidden": [2], "logits": 1, "batch": 3},
    "softmax": {"width": 2, "hidden": [], "logits": 3, "batch": 2},
    "a batch of one": {"width": 3, "hidden": [1], "logits": 2, "batch": 1},
}


def hessian(problem: Problem, params: Any, x: Any, y: Any) -> Any:
    """H [n, n] of a batch."""
    flat, unravel = ravel_pytree(params)
    return jax.hessian(lambda p: problem.loss(unravel(p), x, y))(flat)


@pytest.mark.usefixtures("every_sign")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_over_all_sign_vectors_is_the_dense_trace(shape: str) -> None:
    problem = make(seed=1, **SHAPES[shape])
    truth = with_slope(lambda *batch: jnp.trace(hessian(problem, *batch)))
    batch = problem.params, problem.x, problem.y
    assert_equal(estimated(penalty.hessian_trace(problem.loss))(*batch), truth(*batch))


@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_drawn_probes_have_the_mean_and_the_spread_of_theory(distribution: str) -> None:
    problem = make(seed=2, width=3, hidden=[2], logits=2, batch=4)
    batch = problem.params, problem.x, problem.y
    estimator = penalty.hessian_trace(problem.loss, probes=2, distribution=distribution)
    run = jax.jit(jax.vmap(lambda key: estimator(*batch, key=key)))
    drawn = np.asarray(run(jax.random.split(KEY, 10_000)))
    dense = np.asarray(jax.jit(lambda *batch: hessian(problem, *batch))(*batch))
    spread = np.sum(dense**2) - (distribution == "rademacher") * np.sum(np.diag(dense) ** 2)
    assert abs(drawn.mean() - np.trace(dense)) <= 4 * drawn.std() / np.sqrt(drawn.size)
    # A variance of two probes' mean; four standard errors of a sample variance.
    assert drawn.var() == pytest.approx(spread, rel=0.1)


@pytest.mark.usefixtures("every_sign")
def test_the_trace_of_some_of_the_parameters() -> None:
    problem = make(seed=3, **SHAPES["one hidden layer"])
    estimator = penalty.hessian_trace(problem.loss, where=lambda path: path.startswith("1/"))
    after = ravel_pytree(problem.params[1])[0].size
    truth = with_slope(lambda *batch: jnp.trace(hessian(problem, *batch)[-after:, -after:]))
    batch = problem.params, problem.x, problem.y
    assert_equal(estimated(estimator)(*batch), truth(*batch))


# A model without couplings: H is diagonal, and with random signs each estimate is exact.
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
MASK = jnp.asarray([1, 1, 1, 1, 1, 0], jnp.float32)
PARAMS = {"w": jnp.asarray(RNG.normal(size=4), jnp.float32)}


def logits(params: Any, x: Any, scale: Any = 1.0) -> Any:
    return scale * x * params["w"]


def cosh(z: Any, mask: Any = None) -> Any:
    return jnp.average(jnp.sum(jnp.cosh(z), axis=1), weights=mask)


def loss(params: Any, x: Any, mask: Any = None, scale: Any = 1.0) -> Any:
    return cosh(logits(params, x, scale), mask)


def diagonal(params: Any, x: Any, mask: Any) -> Any:
    return jnp.average(x**2 * jnp.cosh(x * params["w"]), axis=0, weights=mask)


def across(params: Any) -> Any:
    one, other = (diagonal(params, X[start::2], MASK[start::2]) for start in (0, 1))
    return jnp.sum(one * other)


RIVALS = {
    "hessian_trace": lambda **options: penalty.hessian_trace(loss, **options),
    "cross_batch": lambda **options: penalty.cross_batch(loss, per_example=["mask"], **options),
    "gauss_newton": lambda **options: penalty.gauss_newton(logits, cosh, **options),
    "gauss_newton_trace": lambda **options: penalty.gauss_newton_trace(logits, cosh, **options),
}
TRUTHS = {
    "hessian_trace": lambda params: jnp.sum(diagonal(params, X, MASK)),
    "cross_batch": across,
    "gauss_newton": lambda params: jnp.sum(diagonal(params, X, MASK) ** 2),
    "gauss_newton_trace": lambda params: jnp.sum(diagonal(params, X, MASK)),
}


def close(one: Any, other: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), one, other)


@pytest.mark.parametrize("name", RIVALS)
def test_a_step_with_a_mask_by_keyword(name: str) -> None:
    estimator = RIVALS[name](probes=1)
    step = jax.jit(penalty.value_and_grad(estimator, interval=2))
    value, gradient = step(PARAMS, X, key=KEY, weight=0.3, step=4, mask=MASK)
    truth, slope = jax.value_and_grad(TRUTHS[name])(PARAMS)
    task, plain = jax.value_and_grad(loss)(PARAMS, X, MASK)
    assert value.tr_h2.dtype == jnp.float32
    close((value.loss, value.tr_h2, gradient["w"]), (task, truth, plain["w"] + 0.3 * slope["w"]))
    value, gradient = penalty.plain_value_and_grad(estimator)(PARAMS, X, mask=MASK)
    close((value.loss, gradient), (task, plain))
    penalty.check(estimator, PARAMS, X, key=KEY, mask=MASK, reference=loss)


@pytest.mark.parametrize("name", RIVALS)
def test_a_task_of_its_own_shares_the_mask_alone(name: str) -> None:
    def task(params: Any, x: Any, mask: Any, noise: Any) -> Any:
        return loss(params, x, mask) + noise * jnp.sum(params["w"])

    step = penalty.value_and_grad(RIVALS[name](probes=1), task=task, shared=["mask"])
    value, _ = step(PARAMS, X, key=KEY, weight=0.3, mask=MASK, noise=2.0)
    close(value.tr_h2, TRUTHS[name](PARAMS))


@pytest.mark.parametrize("name", RIVALS)
def test_a_link_of_a_chain_and_vmap_over_keys_and_parameters(name: str) -> None:
    link = add_penalty(RIVALS[name](probes=7), 0.5, key=KEY)
    chain = optax.chain(link, optax.scale(-1.0))
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    given = {"batch": (X,), "arguments": {"mask": MASK}}
    updates, _ = chain.update(zero, chain.init(PARAMS), PARAMS, **given)
    close(updates["w"], -0.5 * jax.grad(TRUTHS[name])(PARAMS)["w"])
    estimator, keys = RIVALS[name](probes=1), jax.random.split(KEY, 2)
    stacked = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), PARAMS)
    found = jax.vmap(lambda p, k: estimator(p, X, key=k, mask=MASK))(stacked, keys)
    close(found, jax.vmap(TRUTHS[name])(stacked))


@pytest.mark.parametrize("name", RIVALS)
def test_certain_predictions_in_single_precision_are_finite(name: str) -> None:
    problem = make(seed=4, width=3, hidden=[2], logits=3, batch=4)
    params, x = jax.tree.map(lambda p: 300 * p.astype(jnp.float32), (problem.params, problem.x))
    make_it = getattr(penalty, name)
    apart = name.startswith("gauss_newton")
    estimator = make_it(problem.logits, cross_entropy) if apart else make_it(problem.loss)
    assert np.all(np.isfinite(estimated(estimator)(params, x, problem.y)))


def test_an_estimator_says_what_it_estimates() -> None:
    targets = {name: made().target for name, made in RIVALS.items()}
    assert targets == {
        "hessian_trace": "tr(H_b)",
        "cross_batch": "tr(H^2)",
        "gauss_newton": "tr(G_b^2)",
        "gauss_newton_trace": "tr(G_b)",
    }
    problem = make(seed=5, width=2, hidden=[], logits=1, batch=2, activation="relu")
    assert {found.target for found in problem.estimators().values()} == {"tr(H_b^2)"}
    of_pairs = {
        penalty.pairs(problem.network, target=target, curvature=curvature).target
        for target in ("batch", "loss")
        for curvature in ("hessian", "gauss_newton")
    }
    assert of_pairs == {"tr(H_b^2)", "tr(H^2)", "tr(G_b^2)", "tr(G^2)"}


@pytest.mark.parametrize("name", RIVALS)
def test_the_config_may_name_it(name: str) -> None:
    x, y = jnp.ones((4, 3)), jnp.asarray([0, 1, 1, 0])
    model = models.build({"name": "logistic_regression"}, 2)
    built = objective.build(model, x, estimator=name, probes=1, distribution="normal")
    params = model.init(KEY, x, train=False)["params"]
    task = partial(built.task, rngs={"dropout": KEY})
    step = penalty.value_and_grad(built.estimator, task=task, has_aux=True)
    value, _ = step(params, x, y, key=KEY, weight=0.1)
    assert (built.estimator.name, value.aux.shape) == (name, ())
    assert value.tr_h2 != 0


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"probes": 0}, penalty.ProbeError, "probes is 0; expected a whole number of at least 1"),
        ({"distribution": "cauchy"}, penalty.ProbeError, "'cauchy'; expected one of rademacher"),
        ({"where": "w"}, penalty.ParameterError, "where is str; expected a tree of bools"),
        ({"where": {"w": False}}, penalty.ParameterError, "where is true for no parameter"),
    ],
)
def test_options_that_are_none(name: str, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        RIVALS[name](**options)(PARAMS, X, key=KEY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", RIVALS)
def test_a_batch_and_parameters_that_are_none(name: str) -> None:
    estimator = RIVALS[name]()
    with pytest.raises(penalty.BatchError, match=r"x is float32\[0, 4\]; expected at least one"):
        estimator(PARAMS, X[:0], key=KEY)
    with pytest.raises(penalty.ParameterError, match="params is empty"):
        estimator({}, X, key=KEY)
