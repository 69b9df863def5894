"""Measures of flatness against their definitions, with dense matrices in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import brentq

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure import sharpness
from flatreg.measure.lanes import Lane
from flatreg.measure.rescaling import rescaled

SETTINGS = MeasureSettings(
    examples=9,
    subset_seed=0,
    target_relative_error=0.02,
    max_probes=40,
    block_probes=20,
    lanczos_steps=5,
    lanczos_repeats=2,
    sharpness_radii=(0.05, 0.5),
    adaptive_radii=(0.1, 1.0),
)
MODELS = {
    "mlp": {"name": "mlp", "hidden": [4, 3], "dropout": 0.3},
    "logistic_regression": {"name": "logistic_regression"},
}
CASES = [(name, classes) for name in MODELS for classes in (2, 4)]


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def problem(name: str, classes: int) -> tuple[Any, Any, jax.Array, jax.Array]:
    model = models.build(MODELS[name], classes)
    keys = jax.random.split(jax.random.key(1), 3)
    x = jax.random.normal(keys[0], (9, 5), jnp.float64)
    y = jax.random.randint(keys[1], (9,), 0, classes)
    params = model.init(keys[2], x, train=False)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) * 1.5 + 0.1, params)
    return model, params, x, y


def of_model(model: Any, params: Any, x: jax.Array, y: jax.Array) -> dict[str, float]:
    (found,) = sharpness.of_models(model, [Lane(params, x, y, jax.random.key(0))], SETTINGS)
    return found


def largest_rise(matrix: np.ndarray, gradient: np.ndarray, radius: float) -> float:
    """The maximum of g.u + u.A u / 2 for |u| <= radius and positive definite A, by Lagrange."""
    values, vectors = np.linalg.eigh(matrix)
    g = vectors.T @ gradient

    def excess(multiplier: float) -> float:
        return float(np.sum((g / (multiplier - values)) ** 2) - radius**2)

    multiplier = brentq(excess, values[-1] + 1e-9, values[-1] + 1e6, xtol=1e-13)
    u = g / (multiplier - values)
    return float(g @ u + 0.5 * np.sum(values * u**2))


@pytest.mark.parametrize("radius", [0.1, 1.0, 10.0])
def test_sharpness_of_a_convex_quadratic_is_the_largest_rise_in_the_ball(radius: float) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix, center, scale = root @ root.T, rng.normal(size=6), rng.uniform(0.5, 2, size=6)
    start = rng.normal(size=6)
    found = sharpness.sharpness(
        lambda p: 0.5 * (p - center) @ matrix @ (p - center), start, scale, radius
    )
    scaled = np.diag(scale)
    expected = largest_rise(scaled @ matrix @ scaled, scaled @ matrix @ (start - center), radius)
    assert found <= expected * (1 + 1e-12)
    assert float(found) == pytest.approx(expected, rel=2e-3)


def test_sharpness_is_no_less_than_after_the_step_of_sam() -> None:
    model, params, x, y = problem("mlp", 4)

    def loss(p: Any) -> jax.Array:
        return models.loss_without_dropout(model, p, x, y)

    flat, unravel = ravel_pytree(params)
    gradient = ravel_pytree(jax.grad(loss)(params))[0]
    ones = jax.tree.map(jnp.ones_like, params)
    for radius in (0.05, 0.5):
        step = flat + radius * gradient / jnp.linalg.norm(gradient)
        found = sharpness.sharpness(loss, params, ones, radius)
        assert found >= loss(unravel(step)) - loss(params) - 1e-12


def test_no_random_point_of_the_ball_rises_more() -> None:
    model, params, x, y = problem("mlp", 2)
    flat, unravel = ravel_pytree(params)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(20_000, flat.size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def loss(p: Any) -> jax.Array:
        return models.loss_without_dropout(model, p, x, y)

    for scale in (jax.tree.map(jnp.ones_like, params), jax.tree.map(jnp.abs, params)):
        moved = flat + 0.5 * directions * np.asarray(ravel_pytree(scale)[0])
        rises = jax.vmap(lambda p: loss(unravel(p)))(moved) - loss(params)
        assert sharpness.sharpness(loss, params, scale, 0.5) > rises.max()


def test_sharpness_where_there_is_no_gradient_or_hardly_any() -> None:
    start, ones = jnp.zeros(3, jnp.float32), jnp.ones(3, jnp.float32)
    assert sharpness.sharpness(lambda p: jnp.sum(0 * p), start, ones, 1.0) == 0
    # The squares of its gradient are below the smallest float32.
    tiny = sharpness.sharpness(lambda p: 1e-30 * jnp.sum(p), start, ones, 1.0)
    assert float(tiny) == pytest.approx(1e-30 * 3**0.5, rel=1e-5)


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_relative_flatness_is_its_definition_on_a_dense_hessian(name: str, classes: int) -> None:
    model, params, x, y = problem(name, classes)
    last = f"Dense_{len(params) - 1}"
    kernel = params[last]["kernel"]

    def loss(kernel: jax.Array) -> jax.Array:
        moved = params | {last: params[last] | {"kernel": kernel}}
        return models.loss_without_dropout(model, moved, x, y)

    hessian = jax.hessian(loss)(kernel)  # [in, out, in, out]
    traces = jnp.einsum("isit->st", hessian)
    expected = float(jnp.sum((kernel.T @ kernel) * traces))
    found = float(sharpness.relative_flatness(model, params, x))
    assert found == pytest.approx(expected, rel=1e-10)
    assert expected > 0


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_fisher_rao_norm_is_its_definition_on_single_gradients(name: str, classes: int) -> None:
    model, params, x, y = problem(name, classes)
    flat, unravel = ravel_pytree(params)

    def loss(p: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        return models.loss_without_dropout(model, unravel(p), x[None], y[None])

    gradients = jax.vmap(jax.grad(loss), (None, 0, 0))(flat, x, y)
    fisher = gradients.T @ gradients / len(y)
    found = float(sharpness.fisher_rao_norm(model, params, x, y))
    assert found**2 == pytest.approx(float(flat @ fisher @ flat), rel=1e-10)


@pytest.mark.parametrize("factor", [0.25, 3.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_rescaled_layers_keep_the_function_and_some_measures(factor: float, classes: int) -> None:
    model, params, x, y = problem("mlp", classes)
    other = rescaled(params, factor)
    logits = [model.apply({"params": p}, x, train=False) for p in (params, other)]
    np.testing.assert_allclose(*logits, rtol=1e-12)
    before, after = (of_model(model, p, x, y) for p in (params, other))
    changes = {name: after[name] / before[name] - 1 for name in before}
    assert max(abs(change) for name, change in changes.items() if name.startswith("sam_")) > 0.1
    kept = [change for name, change in changes.items() if not name.startswith("sam_")]
    np.testing.assert_allclose(kept, 0, atol=1e-9)


def test_all_measures_have_their_names_and_radii() -> None:
    model, params, x, y = problem("logistic_regression", 4)
    found = of_model(model, params, x, y)
    assert list(found) == [
        *("sam_sharpness_0.05", "sam_sharpness_0.5", "asam_sharpness_0.1", "asam_sharpness_1"),
        *("relative_flatness", "fisher_rao_norm"),
    ]
    assert all(np.isfinite(value) and value > 0 for value in found.values())
