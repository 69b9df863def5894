"""The Hessian of some of the parameters, against its dense block."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import penalty

from .truth import double

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


X, Y = normal(5, 3), jnp.asarray(RNG.integers(0, 2, 5))
# A frozen base and its low-rank adapter, as of LoRA.
PARAMS = {
    "base": {"kernel": normal(3, 3), "head": normal(3, 2)},
    "lora": {"a": normal(3, 1), "b": normal(1, 3)},
}
ADAPTER = {"base": False, "lora": True}


def loss(params: Any, x: Any, y: Any) -> Any:
    kernel = params["base"]["kernel"] + params["lora"]["a"] @ params["lora"]["b"]
    logits = jnp.tanh(x @ kernel) @ params["base"]["head"]
    chosen = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)


def truth(mask: Any) -> tuple[float, np.ndarray]:
    """||H_SS||_F^2, S the rows and columns of a mask, and its gradient in all parameters."""
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(double, PARAMS))
        rows = np.asarray(
            ravel_pytree(jax.tree.map(lambda p, m: jnp.full(p.shape, m), PARAMS, mask))[0]
        )

        def tr_h2(flat: Any) -> Any:
            hessian = jax.hessian(lambda p: loss(unravel(p), double(X), Y))(flat)
            return jnp.sum(hessian[np.ix_(rows, rows)] ** 2)

        value, gradient = jax.jit(jax.value_and_grad(tr_h2))(flat)
        return float(value), np.asarray(gradient)


def full(where: Any) -> Any:
    """A mask with a bool for each parameter."""
    return jax.tree.map(lambda taken, branch: jax.tree.map(lambda _: taken, branch), where, PARAMS)


@pytest.mark.parametrize(
    ("where", "mask"),
    [
        (ADAPTER, full(ADAPTER)),
        (full(ADAPTER), full(ADAPTER)),
        (lambda path: path.startswith("lora/"), full(ADAPTER)),
        (
            lambda path: path.endswith("head"),
            full({"base": {"kernel": False, "head": True}, "lora": False}),
        ),
        (True, full(True)),
    ],
    ids=["branches", "leaves", "path", "one leaf", "all"],
)
def test_value_and_gradient_are_those_of_the_dense_block(where: Any, mask: Any) -> None:
    """The gradient is in all parameters: tr(H^2) of the block depends on the others too."""
    estimator = penalty.autodiff(loss, probes=1, where=where)

    def sample(key: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda p: estimator(p, X, Y, key=key))(PARAMS)
        return jnp.hstack([value, ravel_pytree(gradient)[0]])

    drawn = np.asarray(jax.jit(jax.vmap(sample))(jax.random.split(KEY, 1000)), np.float64)
    expected = np.hstack(truth(mask))
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    allowed = 4 * error + 1e-5 * np.abs(expected).max()
    assert np.all(np.abs(drawn.mean(axis=0) - expected) <= allowed)


def test_the_task_trains_what_the_penalty_does_not_regard() -> None:
    step = jax.jit(penalty.value_and_grad(penalty.autodiff(loss, where=ADAPTER)))
    _, plain = step(PARAMS, X, Y, key=KEY, weight=0.0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        plain,
        jax.jit(jax.grad(loss))(PARAMS, X, Y),
    )


def test_a_frozen_base_stays_and_the_adapter_is_flattened() -> None:
    estimator = penalty.autodiff(loss, where=ADAPTER)
    step = jax.jit(penalty.value_and_grad(estimator))
    frozen = jax.tree.map(lambda trained: not trained, ADAPTER)
    optimizer = optax.chain(optax.sgd(0.05), optax.masked(optax.set_to_zero(), frozen))
    params, state = PARAMS, optimizer.init(PARAMS)
    values = []
    for number in range(20):
        key = jax.random.fold_in(KEY, number)
        value, gradient = step(params, X, Y, key=key, weight=1.0)
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        values.append(value.tr_h2)
    jax.tree.map(np.testing.assert_array_equal, params["base"], PARAMS["base"])
    assert values[-1] < values[0] / 2


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (lambda path: False, "where is true for no parameter"),
        ({"base": False, "lora": False}, "where is true for no parameter"),
        ({"base": False}, "where is another tree; expected a tree of bools"),
        ({"base": 1, "lora": 2}, "where is dict; expected a tree of bools, or a function"),
        ("lora", "where is str"),
    ],
)
def test_a_subset_that_is_none(where: Any, message: str) -> None:
    with pytest.raises(penalty.ParameterError, match=message):
        penalty.autodiff(loss, where=where)(PARAMS, X, Y, key=KEY)
