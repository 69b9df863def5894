"""Models measured side by side, as on a GPU, against the same models measured alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure import lanes, sharpness
from flatreg.measure.lanes import Lane
from flatreg.measure.spectrum import measure_curvature

SETTINGS = MeasureSettings(
    examples=9,
    subset_seed=0,
    target_relative_error=0.2,
    max_probes=60,
    block_probes=5,
    lanczos_steps=6,
    lanczos_repeats=2,
    sharpness_radii=(0.05, 0.5),
    adaptive_radii=(1.0,),
)


def problem(hidden: list[int], classes: int) -> tuple[Any, list[Lane]]:
    """A network, and three models of it with examples of their own, of different curvature."""
    module = models.build({"name": "mlp", "hidden": hidden, "dropout": 0.3}, classes)
    rng = np.random.default_rng(0)

    def lane(number: int) -> Lane:
        x = rng.normal(size=(9, 5)).astype(np.float32)
        params = module.init(jax.random.key(number), x, train=False)["params"]
        params = jax.tree.map(lambda leaf: (1 + number) * leaf, params)
        return Lane(params, x, rng.integers(0, classes, size=9), jax.random.key(10 + number))

    return module, [lane(number) for number in range(3)]


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    # The standard error of an eigenvalue that has converged is rounding.
    names = [name for name in found if name != "lambda_max_stderr"]
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=2e-5, abs=1e-7), name


@pytest.mark.parametrize(("hidden", "classes"), [([6], 3), ([6, 4], 2)], ids=["probes", "closed"])
def test_models_side_by_side_are_as_alone(hidden: list[int], classes: int) -> None:
    module, of_all = problem(hidden, classes)
    together = measure_curvature(module, of_all, SETTINGS)
    alone = [found for lane in of_all for found in measure_curvature(module, [lane], SETTINGS)]
    for found, expected in zip(together, alone, strict=True):
        assert_close(found, expected)
    if classes > 2:  # each stops at its own number of probes
        assert len({found["probes"] for found in alone}) > 1


def test_other_measures_side_by_side_are_as_alone() -> None:
    module, of_all = problem([6, 4], 3)
    together = sharpness.of_models(module, of_all, SETTINGS)
    for lane, found in zip(of_all, together, strict=True):
        (alone,) = sharpness.of_models(module, [lane], SETTINGS)
        assert_close(found, alone)


def _affine(factor: int, x: jax.Array, shift: jax.Array) -> dict[str, jax.Array]:
    return {"value": factor * x + shift}


@pytest.mark.parametrize("at_a_time", [1, 2, 5])
def test_results_are_in_the_order_of_the_arguments(at_a_time: int) -> None:
    own = [(jnp.arange(3.0) + n, jnp.float32(10 * n)) for n in range(5)]
    found = lanes.each(_affine, (2,), own, at_a_time=at_a_time)
    for result, (x, shift) in zip(found, own, strict=True):
        np.testing.assert_array_equal(result["value"], 2 * x + shift)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of a CPU")
def test_a_cpu_measures_one_model_at_a_time() -> None:
    """So that a model's numbers are the same, to the byte, whatever it is measured with."""
    assert lanes.at_a_time() == 1
