"""tr(G^2) and tr(G) against the dense J^T A J in float64, and its derivatives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import penalty

from .every_sign import KEY, assert_equal, estimated, with_slope
from .problems import cross_entropy, make

pytestmark = pytest.mark.usefixtures("double_precision")

TRACES = {
    "gauss_newton": lambda g: jnp.sum(g**2),
    "gauss_newton_trace": jnp.trace,
}


def dense(logits: Any, loss: Any, params: Any, x: Any, *labels: Any) -> Any:
    """G = J^T A J [n, n] of a batch, by its definition."""
    flat, unravel = ravel_pytree(params)
    z, as_logits = ravel_pytree(logits(params, x))
    jacobian = jax.jacrev(lambda p: ravel_pytree(logits(unravel(p), x))[0])(flat)
    a = jax.hessian(lambda z: loss(as_logits(z), *labels))(z)
    return jacobian.T @ a @ jacobian


def assert_dense(name: str, logits: Any, loss: Any, params: Any, *batch: Any) -> None:
    truth = with_slope(lambda *batch: TRACES[name](dense(logits, loss, *batch)))
    found = estimated(getattr(penalty, name)(logits, loss))
    assert_equal(found(params, *batch), truth(params, *batch))


@pytest.mark.usefixtures("every_sign")
@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize(
    "shape",
    [
        {"width": 2, "hidden": [2], "logits": 1, "batch": 2},
        {"width": 1, "hidden": [2], "logits": 2, "batch": 1, "activation": "softplus"},
        {"width": 2, "hidden": [], "logits": 3, "batch": 3, "rows": "repeated"},
    ],
)
def test_the_mean_over_all_sign_vectors_is_dense(name: str, shape: dict[str, Any]) -> None:
    problem = make(seed=1, **shape)
    assert_dense(name, problem.logits, cross_entropy, problem.params, problem.x, problem.y)


@pytest.mark.usefixtures("every_sign")
@pytest.mark.parametrize("name", TRACES)
def test_a_tree_of_logits_under_a_loss_that_is_not_convex(name: str) -> None:
    """With examples that the loss couples, so that A is not of one example at a time."""

    def logits(params: Any, x: Any) -> Any:
        return {"mean": jnp.tanh(x @ params["w"]), "scale": jnp.exp(params["s"])}

    def loss(z: Any, y: Any) -> Any:
        return jnp.cos(jnp.sum(y * z["mean"])) * z["scale"] + jnp.mean(z["mean"] ** 4)

    rng = np.random.default_rng(2)
    x, y = jnp.asarray(rng.normal(size=(3, 2))), jnp.asarray(rng.normal(size=3))
    assert_dense(name, logits, loss, {"s": jnp.asarray(0.3), "w": jnp.asarray([0.5, -1.0])}, x, y)


@pytest.mark.parametrize("name", TRACES)
def test_drawn_probes_are_unbiased(name: str) -> None:
    problem = make(seed=3, width=3, hidden=[2], logits=3, batch=4)
    batch = problem.params, problem.x, problem.y
    estimator = getattr(penalty, name)(problem.logits, cross_entropy, probes=1)
    run = jax.jit(jax.vmap(lambda key: estimator(*batch, key=key)))
    drawn = np.asarray(run(jax.random.split(KEY, 4000)))
    truth = jax.jit(lambda *batch: TRACES[name](dense(problem.logits, cross_entropy, *batch)))
    assert abs(drawn.mean() - truth(*batch)) <= 4 * drawn.std() / np.sqrt(drawn.size)
    assert np.all(drawn >= 0)


@pytest.mark.usefixtures("every_sign")
@pytest.mark.parametrize("name", TRACES)
def test_some_of_the_parameters(name: str) -> None:
    problem = make(seed=4, width=2, hidden=[1], logits=2, batch=2)
    after = ravel_pytree(problem.params[1])[0].size
    estimator = getattr(penalty, name)(problem.logits, cross_entropy, where=[False, True])

    def truth(*batch: Any) -> Any:
        return TRACES[name](dense(problem.logits, cross_entropy, *batch)[-after:, -after:])

    batch = problem.params, problem.x, problem.y
    assert_equal(estimated(estimator)(*batch), with_slope(truth)(*batch))


@pytest.mark.parametrize("name", TRACES)
def test_each_keyword_reaches_the_loss_that_names_it_or_the_model(name: str) -> None:
    """The model is linear and without couplings: with random signs each estimate is exact."""
    x, w, mask = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), jnp.asarray([0.3, 0.1]), jnp.array([1, 0])

    def logits(w: Any, x: Any, **arguments: Any) -> Any:
        return arguments["scale"] * x * w

    def loss(z: Any, y: Any, mask: Any = None) -> Any:
        return jnp.average(jnp.sum((z - y) ** 2, axis=1), weights=mask)

    estimator = getattr(penalty, name)(logits, loss, probes=1)
    found = estimator(w, x, jnp.zeros((2, 1)), key=KEY, mask=mask, scale=3.0)
    np.testing.assert_allclose(found, TRACES[name](jnp.diag(2 * 9 * x[0] ** 2)), rtol=1e-12)
    with pytest.raises(KeyError, match="scale"):
        estimator(w, x, jnp.zeros((2, 1)), key=KEY, mask=mask)


@pytest.mark.parametrize("name", TRACES)
def test_a_model_and_a_loss_that_are_none(name: str) -> None:
    w, x = jnp.ones(2), jnp.ones((3, 2))
    of = getattr(penalty, name)
    classes = of(lambda w, x: jnp.argmax(x * w, axis=1), lambda z: jnp.mean(1.0 * z))
    with pytest.raises(penalty.ModelError, match=r"logits is a function that returns int.*\[3\];"):
        classes(w, x, key=KEY)
    with pytest.raises(penalty.LossError, match=r"loss is a function that returns float64\[3\];"):
        of(lambda w, x: x @ w, lambda z: z**2)(w, x, key=KEY)
