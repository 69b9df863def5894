"""The parts of tr(H^2) by layer, against the rows of a dense Hessian."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import penalty

from .every_sign import KEY
from .problems import Problem, make

pytestmark = pytest.mark.usefixtures("double_precision")


def problem() -> Problem:
    return make(seed=1, width=2, hidden=[2], logits=1, batch=3)


@pytest.mark.usefixtures("every_sign")
def test_the_mean_over_all_sign_vectors_is_the_rows_square() -> None:
    params, x, y, _ = small = problem()
    parts = jax.jit(lambda *batch: penalty.by_layer(small.loss)(*batch, key=KEY))(params, x, y)
    flat, unravel = ravel_pytree(params)
    hessian = jax.hessian(lambda p: small.loss(unravel(p), x, y))(flat)
    rows = unravel(jnp.sum(hessian**2, axis=1))
    jax.tree.map(
        lambda part, row: np.testing.assert_allclose(part, jnp.sum(row), rtol=1e-10), parts, rows
    )


@pytest.mark.parametrize("probes", [2, 7])
def test_together_they_are_what_autodiff_estimates(probes: int) -> None:
    """From the same key, in single precision and with a keyword argument of the loss."""

    small = problem()

    def loss(params: Any, x: Any, y: Any, scale: Any) -> Any:
        return scale * small.loss(params, x, y)

    options: Any = {"probes": probes, "distribution": "normal"}
    params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (small.params, small.x))
    run = jax.jit(penalty.by_layer(loss, **options))
    parts = run(params, x, small.y, key=KEY, scale=2.0)
    assert jax.tree.map(jnp.shape, parts) == jax.tree.map(lambda _: (), params)
    assert {part.dtype for part in jax.tree.leaves(parts)} == {jnp.dtype("float32")}
    estimator = jax.jit(penalty.autodiff(loss, **options))
    whole = estimator(params, x, small.y, key=KEY, scale=2.0)
    np.testing.assert_allclose(sum(jax.tree.leaves(parts)), whole, rtol=1e-5)


def test_arguments_that_are_none() -> None:
    with pytest.raises(penalty.ProbeError, match="probes is 0"):
        penalty.by_layer(lambda params, x: x, probes=0)
    parts = penalty.by_layer(lambda params, x: x @ params["w"])
    with pytest.raises(penalty.LossError, match=r"returns float64\[3\]; expected one that returns"):
        parts({"w": jnp.ones(2)}, jnp.ones((3, 2)), key=KEY)
    with pytest.raises(penalty.ParameterError, match="params is empty"):
        parts({}, jnp.ones((3, 2)), key=KEY)
