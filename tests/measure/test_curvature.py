"""Curvature against dense float64 Hessians of small models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import models
from flatreg.measure import curvature


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def problem(name: str, classes: int, seed: int = 0) -> tuple[Any, Any]:
    settings = {
        "mlp": {"name": "mlp", "hidden": [4, 3], "dropout": 0.3},
        "logistic_regression": {"name": "logistic_regression"},
    }[name]
    model = models.build(settings, classes)
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(keys[0], (8, 5))
    y = jax.random.randint(keys[1], (8,), 0, classes)
    params = model.init(keys[2], x, train=False)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) + 0.1, params)
    return lambda p: models.task_loss(model.apply({"params": p}, x, train=False), y), params


def dense(loss: Any, params: Any) -> np.ndarray:
    flat, unravel = ravel_pytree(params)
    return np.asarray(jax.hessian(lambda p: loss(unravel(p)))(flat))


def quadratic(matrix: np.ndarray) -> tuple[Any, Any]:
    """A loss whose Hessian is the matrix at every point."""
    return lambda p: 0.5 * p["w"] @ jnp.asarray(matrix) @ p["w"], {"w": jnp.ones(len(matrix))}


def blocks(loss: Any, params: Any, seed: int, probes: int = 20) -> Iterator[Any]:
    draw = jax.jit(lambda key: curvature.trace_samples(loss, params, key, probes))
    for block in range(10_000):
        yield jax.device_get(draw(jax.random.fold_in(jax.random.key(seed), block)))


PROBLEMS = [("mlp", 2), ("mlp", 4), ("logistic_regression", 2), ("logistic_regression", 3)]


@pytest.mark.parametrize(("name", "classes"), PROBLEMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_traces_are_within_three_standard_errors(name: str, classes: int, seed: int) -> None:
    loss, params = problem(name, classes)
    hessian = dense(loss, params)
    done = curvature.traces(blocks(loss, params, seed), target=0.02, max_probes=20_000)
    assert done.reached
    for found, truth in ((done.tr_h, hessian.trace()), (done.tr_h2, np.sum(hessian**2))):
        assert abs(found.value - truth) <= 3 * found.stderr + 1e-12 * abs(truth)
        assert found.stderr <= 0.02 * abs(found.value)


def test_standard_error_is_the_spread_of_repeats() -> None:
    loss, params = problem("mlp", 4)
    truth = np.sum(dense(loss, params) ** 2)
    coarse = jax.jit(lambda key: curvature.coarse_tr_h2(loss, params, key, 50))
    values, errors = map(np.asarray, jax.lax.map(coarse, jax.random.split(jax.random.key(0), 400)))
    spread = values.std()
    assert abs(values.mean() - truth) < 4 * spread / np.sqrt(400)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize(("name", "classes"), PROBLEMS)
def test_largest_eigenvalue_is_the_dense_one(name: str, classes: int) -> None:
    loss, params = problem(name, classes)
    truth = np.linalg.eigvalsh(dense(loss, params))[-1]
    starts = jax.random.split(jax.random.key(0), 3)
    done = curvature.largest_eigenvalue(
        [curvature.tridiagonal(loss, params, key, 20) for key in starts]
    )
    assert done.value == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("eigenvalues", "largest"),
    [([3.0, 0, 0, 0, 0], 3.0), ([-5.0, -1, 0.5, 2, 2], 2.0), ([-2.0, -2, -2, -2, -2], -2.0)],
)
def test_low_rank_and_indefinite_hessians(eigenvalues: list[float], largest: float) -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))
    loss, params = quadratic(rotation @ np.diag(eigenvalues) @ rotation.T)
    starts = jax.random.split(jax.random.key(0), 3)
    done = curvature.largest_eigenvalue(
        [curvature.tridiagonal(loss, params, key, 5) for key in starts]
    )
    assert done.value == pytest.approx(largest, rel=1e-6)


def test_a_flat_loss_is_measured_as_zero() -> None:
    loss, params = quadratic(np.zeros((4, 4)))
    done = curvature.traces(blocks(loss, params, 0), target=0.02, max_probes=100)
    assert (done.tr_h, done.tr_h2) == ((0.0, 0.0), (0.0, 0.0))
    assert done.reached
    assert done.probes == 20
    starts = jax.random.split(jax.random.key(0), 2)
    largest = curvature.largest_eigenvalue(
        [curvature.tridiagonal(loss, params, key, 4) for key in starts]
    )
    assert largest == (0.0, 0.0)


def test_the_cap_is_kept_and_told() -> None:
    loss, params = quadratic(np.ones((6, 6)))  # rank one: the worst case for random signs
    done = curvature.traces(blocks(loss, params, 0), target=1e-6, max_probes=100)
    assert (done.probes, done.reached) == (100, False)
