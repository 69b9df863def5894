"""tr(H_a H_b) of a mini-batch's halves against the dense Hessians of the single examples."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO
from jax.flatten_util import ravel_pytree

from flatreg import penalty

from .every_sign import KEY, assert_equal, estimated
from .problems import Problem, make
from .test_pairs import dense, of_single_examples

pytestmark = pytest.mark.usefixtures("double_precision")


def over_all_orders(problem: Problem, stride: int = 1) -> np.ndarray:
    """The mean over all orders of the examples, and so over all ways to halve the batch."""
    run = estimated(penalty.cross_batch(problem.loss, stride=stride))
    orders = [jnp.array(order) for order in itertools.permutations(range(len(problem.x)))]
    return np.mean([run(problem.params, problem.x[i], problem.y[i]) for i in orders], axis=0)


@pytest.mark.usefixtures("every_sign")
@pytest.mark.parametrize("batch", [2, 3, 4])
def test_the_mean_over_all_halves_is_that_over_all_pairs_of_examples(batch: int) -> None:
    """Which is unbiased for tr(H^2) of the expected loss; of an odd number, as of an even one."""
    problem = make(seed=batch, width=2, hidden=[2], logits=1, batch=batch)
    [truth] = dense(problem, [("hessian", "loss")])(problem.params, problem.x, problem.y)
    assert_equal(over_all_orders(problem), truth)


@pytest.mark.usefixtures("every_sign")
def test_some_of_the_parameters_on_two_examples() -> None:
    """Of two examples there is one pair."""
    problem = make(seed=5, width=2, hidden=[2], logits=2, batch=2)
    estimator = penalty.cross_batch(problem.loss, where=[True, False])
    found = jax.jit(estimator)(problem.params, problem.x, problem.y, key=KEY)
    flat, size = ravel_pytree(problem.params)[0], ravel_pytree(problem.params[0])[0].size
    one, other = jax.jit(of_single_examples(problem, "hessian"))(flat, problem.x, problem.y)
    truth = jnp.sum(one[:size, :size] * other[:size, :size])
    np.testing.assert_allclose(found, truth, rtol=1e-10)


@pytest.mark.usefixtures("every_sign")
def test_with_a_stride_the_mean_over_all_halves_is_that_over_all_pairs() -> None:
    """Of four examples each two are used, one for each half."""
    problem = make(seed=4, width=2, hidden=[2], logits=1, batch=4)
    [truth] = dense(problem, [("hessian", "loss")])(problem.params, problem.x, problem.y)
    assert_equal(over_all_orders(problem, stride=2), truth)


def test_drawn_probes_are_unbiased_and_may_be_below_zero() -> None:
    problem = make(seed=6, width=3, hidden=[2], logits=2, batch=2)
    batch = problem.params, problem.x, problem.y
    estimator = penalty.cross_batch(problem.loss, probes=1)
    run = jax.jit(jax.vmap(lambda key: estimator(*batch, key=key)))
    drawn = np.asarray(run(jax.random.split(KEY, 4000)))
    truth = dense(problem, [("hessian", "loss")])(*batch)[0, 0]
    assert abs(drawn.mean() - truth) <= 4 * drawn.std() / np.sqrt(drawn.size)
    assert drawn.min() < 0 < drawn.max()


W, X = {"w": np.array([0.3, -0.2])}, np.random.default_rng(7).normal(size=(5, 2))


def curvatures(params: Any, x: Any) -> Any:
    """The Hessian's diagonal for each example of `loss`, whose Hessian has nothing beside it."""
    return x**2 * jnp.cosh(x * params["w"])


def loss(params: Any, x: Any, weights: Any = None, scale: Any = 1.0) -> Any:
    return scale * jnp.average(jnp.sum(jnp.cosh(x * params["w"]), axis=1), weights=weights)


def test_trees_numbers_and_keywords_that_are_halved_or_not() -> None:
    def of_trees(params: Any, x: Any, y: Any, mask: Any = None, factor: Any = None) -> Any:
        return loss(params, factor * x["a"], y["weight"] * mask, y["scale"])

    estimator = penalty.cross_batch(of_trees, probes=1, per_example=["mask"])
    weights, mask = jnp.arange(1.0, 6.0), jnp.asarray([1, 1, 1, 0, 0])
    labels = {"weight": weights, "scale": 3.0, "none": None}
    factor = jnp.asarray([1.0, 2.0])
    found = estimator(W, {"a": X, "b": X}, labels, key=KEY, mask=mask, factor=factor)
    each = 3 * factor**2 * X**2 * jnp.cosh(factor * X * W["w"])
    one, other = (each[0] + 3 * each[2]) / 4, each[1]
    np.testing.assert_allclose(found, jnp.sum(one * other), rtol=1e-12)


def test_a_sparse_batch_is_halved_by_its_rows() -> None:
    def of_sparse(params: Any, x: Any) -> Any:
        return loss(params, x.todense())

    x = jnp.where(X > 0, X, 0)
    run = jax.jit(lambda x: penalty.cross_batch(of_sparse, probes=1)(W, x, key=KEY))
    each = curvatures(W, x)
    truth = jnp.sum(each[0::2].mean(0) * each[1::2].mean(0))
    np.testing.assert_allclose(run(BCOO.fromdense(x)), truth, rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (X[:1], (), r"x is float64\[1, 2\]; expected at least two examples"),
        ({"a": X[:1]}, (), r"x\['a'\] is float64\[1, 2\]; expected at least two examples"),
        (X, (X[:3, 0],), r"labels\[0\] is float64\[3\]; expected 5 examples .*, as in x"),
        ((), (), "x is without an array"),
    ],
)
def test_batches_that_cannot_be_halved(x: Any, labels: Any, message: str) -> None:
    def summed(params: Any, *parts: Any) -> Any:
        return jnp.sum(params["w"] ** 2)

    with pytest.raises(penalty.BatchError, match=message) as caught:
        jax.jit(lambda x: penalty.cross_batch(summed)(W, x, *labels, key=KEY))(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stride", [0, -1, 1.5, True])
def test_a_stride_is_a_whole_number_of_at_least_one(stride: Any) -> None:
    with pytest.raises(penalty.ArgumentError, match=r"stride is .*; expected a whole number"):
        penalty.cross_batch(loss, stride=stride)


def test_a_stride_leaves_an_example_for_each_half() -> None:
    expected = "x is float64\\[5, 2\\]; expected at least 6 examples, one for each half"
    with pytest.raises(penalty.BatchError, match=expected):
        penalty.cross_batch(loss, stride=5)(W, X, key=KEY)
    assert jnp.isfinite(penalty.cross_batch(loss, stride=4)(W, X, key=KEY))
