"""The penalty against a dense float64 Hessian and the derivative of its squared norm."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import models, penalty

SAMPLES = 4000


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def problem(name: str, classes: int, seed: int = 0) -> tuple[penalty.Loss, Any, Any, Any]:
    """A small model's loss, parameters in float64, and a batch."""
    settings = {
        "mlp": {"name": "mlp", "hidden": [3], "dropout": 0.3},
        "logistic_regression": {"name": "logistic_regression"},
    }[name]
    model = models.build(settings, classes)
    keys = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.normal(keys[0], (6, 3))
    y = jax.random.randint(keys[1], (6,), 0, classes)
    params = model.init(keys[2], x, train=False)["params"]
    leaves, structure = jax.tree.flatten(params)
    noise = jax.random.split(keys[3], len(leaves))
    params = structure.unflatten(
        [
            jnp.asarray(p, jnp.float64) + 0.5 * jax.random.normal(k, p.shape)
            for p, k in zip(leaves, noise, strict=True)
        ]
    )

    def loss(params: Any, x: Any, y: Any) -> Any:
        return models.task_loss(model.apply({"params": params}, x, train=False), y)

    return loss, params, x, y


def dense_hessian(loss: penalty.Loss, params: Any, x: Any, y: Any) -> Any:
    flat, unravel = ravel_pytree(params)
    return jax.hessian(lambda p: loss(unravel(p), x, y))(flat)


def dense_tr_h2(loss: penalty.Loss, params: Any, x: Any, y: Any) -> Any:
    return jnp.sum(dense_hessian(loss, params, x, y) ** 2)


PROBLEMS = [("mlp", 2), ("mlp", 3), ("logistic_regression", 2), ("logistic_regression", 4)]


@pytest.mark.parametrize(("name", "classes"), PROBLEMS)
@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_value_and_gradient_are_unbiased(name: str, classes: int, distribution: str) -> None:
    loss, params, x, y = problem(name, classes)
    estimate = penalty.autodiff(loss, probes=1, distribution=distribution)
    keys = jax.random.split(jax.random.key(7), SAMPLES)
    sample = jax.jit(
        jax.vmap(lambda k: ravel_pytree(jax.value_and_grad(estimate)(params, x, y, k))[0])
    )
    drawn = sample(keys)
    truth, _ = ravel_pytree(jax.value_and_grad(partial(dense_tr_h2, loss))(params, x, y))
    stderr = drawn.std(axis=0, ddof=1) / np.sqrt(SAMPLES)
    # 4 standard errors, and rounding where the estimate has no spread at all.
    assert np.all(np.abs(drawn.mean(axis=0) - truth) <= 4 * stderr + 1e-12 * np.abs(truth).max())
    assert np.linalg.norm(truth[1:]) > 0


@pytest.mark.parametrize(("name", "classes"), [("logistic_regression", 2)])
def test_all_sign_vectors_give_the_dense_value_and_gradient(name: str, classes: int) -> None:
    loss, params, x, y = problem(name, classes)
    flat, unravel = ravel_pytree(params)
    signs = jnp.array(list(itertools.product([-1.0, 1.0], repeat=flat.size)))

    def mean_over_signs(params: Any) -> Any:
        product = partial(penalty.hessian_vector_product, loss, params, x=x, y=y)
        norms = jax.vmap(lambda v: jnp.sum(ravel_pytree(product(unravel(v)))[0] ** 2))(signs)
        return jnp.mean(norms)

    value, gradient = jax.value_and_grad(mean_over_signs)(params)
    true_value, true_gradient = jax.value_and_grad(partial(dense_tr_h2, loss))(params, x, y)
    np.testing.assert_allclose(value, true_value, rtol=1e-12)
    np.testing.assert_allclose(
        ravel_pytree(gradient)[0], ravel_pytree(true_gradient)[0], rtol=1e-10, atol=1e-14
    )


@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_spread_is_the_theory_s(distribution: str) -> None:
    loss, params, x, y = problem("mlp", 3)
    hessian = np.asarray(dense_hessian(loss, params, x, y))
    squared = hessian @ hessian
    theory = 2 * np.sum(squared**2)
    if distribution == "rademacher":
        theory -= 2 * np.sum(np.diag(squared) ** 2)
    estimate = penalty.autodiff(loss, probes=1, distribution=distribution)
    keys = jax.random.split(jax.random.key(3), 5 * SAMPLES)
    drawn = np.asarray(jax.jit(jax.vmap(lambda k: estimate(params, x, y, k)))(keys))
    # The standard error of a sample variance follows from the fourth central moment.
    centred = drawn - drawn.mean()
    error = np.sqrt((np.mean(centred**4) - drawn.var() ** 2) / drawn.size)
    assert abs(drawn.var(ddof=1) - theory) <= 4 * error


def test_probes_are_averaged() -> None:
    loss, params, x, y = problem("mlp", 2)
    key = jax.random.key(5)
    one = penalty.autodiff(loss, probes=1, distribution="normal")
    many = penalty.autodiff(loss, probes=6, distribution="normal")
    single = penalty.draw_probe
    norms = [
        jnp.sum(
            ravel_pytree(
                penalty.hessian_vector_product(loss, params, single(params, k, "normal"), x, y)
            )[0]
            ** 2
        )
        for k in jax.random.split(key, 6)
    ]
    np.testing.assert_allclose(many(params, x, y, key), np.mean(norms), rtol=1e-12)
    assert one(params, x, y, key) != many(params, x, y, key)


def test_gradient_flows_through_the_estimate() -> None:
    loss, params, x, y = problem("mlp", 3)
    estimate = penalty.autodiff(loss, probes=5, distribution="rademacher")
    gradient = jax.grad(estimate)(params, x, y, jax.random.key(0))
    assert all(np.linalg.norm(leaf) > 0 for leaf in jax.tree.leaves(gradient))


def test_single_and_double_precision_agree() -> None:
    loss, params, x, y = problem("mlp", 3)
    estimate = penalty.autodiff(loss, probes=5, distribution="rademacher")
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (params, x))
    probe = penalty.draw_probe(params, jax.random.key(1), "rademacher")
    exact = penalty.hessian_vector_product(loss, params, probe, x, y)
    rounded = penalty.hessian_vector_product(
        loss, single[0], jax.tree.map(lambda a: a.astype(jnp.float32), probe), single[1], y
    )
    np.testing.assert_allclose(
        ravel_pytree(rounded)[0], ravel_pytree(exact)[0], rtol=1e-4, atol=1e-5
    )
    assert np.isfinite(estimate(single[0], single[1], y, jax.random.key(0)))


@pytest.mark.parametrize(
    ("scaling", "factor"), [("per_application", 0.1 / 32), ("interval_fold", 10 * 0.1 / 32)]
)
def test_scale(scaling: str, factor: float) -> None:
    assert penalty.scale(0.1, batch=32, interval=10, scaling=scaling) == pytest.approx(factor)
