"""The gradients of a step apart: the task's, and that of tr(H^2) from a dense Hessian."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import penalty
from flatreg.penalty import ParameterError

from .truth import tr_h2_of

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32)
PARAMS = {name: jnp.asarray(RNG.normal(size=3), jnp.float32) for name in ("one", "two")}


def loss(params: Any, x: Any) -> Any:
    return jnp.mean(jnp.tanh(x @ params["one"]) * (x @ params["two"]))


def task(params: Any, x: Any, *, shift: Any = 0.0) -> Any:
    return loss(params, x) + shift * jnp.sum(params["one"]), len(x)


def test_they_are_the_tasks_and_that_of_the_dense_hessian(every_sign: None) -> None:
    step = jax.jit(penalty.value_and_grads(penalty.autodiff(loss), task=task, has_aux=True))
    value, of_task, of_tr_h2 = step(PARAMS, X, key=jax.random.key(0), shift=0.5)
    tr_h2, expected = tr_h2_of(lambda params: loss(params, X), PARAMS)
    assert value.tr_h2 == pytest.approx(tr_h2, rel=1e-4)
    assert value.applied
    assert value.aux == 6
    np.testing.assert_allclose(ravel_pytree(of_tr_h2)[0], expected, rtol=1e-3, atol=1e-5)
    alone = jax.grad(lambda params: task(params, X, shift=0.5)[0])(PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), of_task, alone)


def test_together_they_are_the_gradient_of_a_penalized_step() -> None:
    estimator, key = penalty.autodiff(loss, probes=2), jax.random.key(1)
    _, of_task, of_tr_h2 = penalty.value_and_grads(estimator)(PARAMS, X, key=key)
    _, whole = penalty.value_and_grad(estimator)(PARAMS, X, key=key, weight=0.3)
    jax.tree.map(
        lambda a, b, c: np.testing.assert_allclose(a + 0.3 * b, c, rtol=1e-4, atol=1e-6),
        *(of_task, of_tr_h2, whole),
    )


def test_a_mistake_is_told_as_by_value_and_grad() -> None:
    with pytest.raises(ParameterError):
        penalty.value_and_grads(penalty.autodiff(loss))({}, X, key=jax.random.key(0))
