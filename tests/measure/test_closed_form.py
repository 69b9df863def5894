"""Traces in closed form against dense float64 Hessians, and the models that have none."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure.closed_form import exact_traces
from flatreg.measure.lanes import Lane
from flatreg.measure.spectrum import measure_curvature

KEY = jax.random.key(1)
MLP = {"name": "mlp", "dropout": 0.3}
SETTINGS = MeasureSettings(
    examples=9,
    subset_seed=0,
    target_relative_error=0.02,
    max_probes=40,
    block_probes=20,
    lanczos_steps=10,
    lanczos_repeats=2,
    sharpness_radii=(),
    adaptive_radii=(),
)


def problem(model: dict[str, Any], classes: int, *, scale: float = 1.0) -> tuple[Any, ...]:
    """A model, its parameters in float32, and nine examples."""
    rng = np.random.default_rng(classes)
    module = models.build(model, classes)
    x = rng.normal(size=(9, 5)).astype(np.float32)
    y = rng.integers(0, classes, size=9)
    params = module.init(jax.random.key(0), x, train=False)["params"]
    # Biases that are 0 would leave units on their kink for an input of 0.
    return module, jax.tree.map(lambda leaf: scale * (leaf + 0.1), params), x, y


def dense(module: Any, params: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The Hessian in float64."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        flat, unravel = ravel_pytree(wide)
        x = jnp.asarray(x, jnp.float64)
        return np.asarray(
            jax.hessian(lambda p: models.loss_without_dropout(module, unravel(p), x, y))(flat)
        )


@pytest.mark.parametrize(
    ("model", "classes"),
    [
        ({"name": "logistic_regression"}, 2),
        ({"name": "logistic_regression"}, 4),
        (MLP | {"hidden": [6]}, 2),
        (MLP | {"hidden": [7, 4]}, 2),
        (MLP | {"hidden": [5, 4, 3]}, 2),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 6.0])  # 6: probabilities that float32 rounds to 1
def test_closed_form_is_the_dense_hessian(
    model: dict[str, Any], classes: int, scale: float
) -> None:
    module, params, x, y = problem(model, classes, scale=scale)
    hessian = dense(module, params, x, y)
    (found,) = exact_traces(module, [Lane(params, x, y, KEY)])
    assert found.tr_h == (pytest.approx(hessian.trace(), rel=1e-9), 0)
    assert found.tr_h2 == (pytest.approx(np.sum(hessian**2), rel=1e-9), 0)
    assert (found.probes, found.reached) == (0, True)


@pytest.mark.parametrize(
    ("hidden", "classes"),
    [([6], 3), ([7, 4], 4), ([2**13, 2**12], 2)],
    ids=["softmax", "deep-softmax", "too-wide"],
)
def test_other_models_have_none(hidden: list[int], classes: int) -> None:
    module = models.build(MLP | {"hidden": hidden}, classes)
    x, y = np.ones((9, 5), np.float32), np.zeros(9, int)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=False)["params"])
    params = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    assert exact_traces(module, [Lane(params, x, y, KEY)]) is None


@pytest.mark.parametrize(("classes", "exact"), [(2, True), (3, False)])
def test_a_measurement_takes_it_where_there_is_one(classes: int, exact: bool) -> None:
    module, params, x, y = problem(MLP | {"hidden": [7, 4]}, classes)
    hessian = dense(module, params, x, y)
    (found,) = measure_curvature(module, [Lane(params, x, y, KEY)], SETTINGS)
    assert (found["probes"] == 0) == exact
    for name, truth in (("tr_h", hessian.trace()), ("tr_h2", np.sum(hessian**2))):
        error = found[f"{name}_stderr"]
        assert found[name] == pytest.approx(truth, abs=4 * error + 1e-6 * abs(truth))
    assert found["lambda_max"] == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-4)
