"""Keyword arguments of the loss, such as a mask, reach tr(H^2) too, or are refused."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flatreg import penalty

from .truth import tr_h2_of

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(8, 4)), jnp.float32)
MASK = jnp.asarray([1, 1, 1, 0, 0, 0, 0, 0], jnp.float32)
PARAMS = {"w": jnp.asarray(RNG.normal(size=4), jnp.float32)}


def loss(params: Any, x: Any, mask: Any = None) -> Any:
    """One whose Hessian is diagonal: with random signs, each estimate is exact."""
    each = jnp.sum(jnp.cosh(x * params["w"]), axis=1)
    return each.mean() if mask is None else jnp.sum(each * mask) / jnp.sum(mask)


def unnamed(params: Any, x: Any, **arguments: Any) -> Any:
    return loss(params, x, **arguments)


def task(params: Any, x: Any, mask: Any = None, noise: Any = 0.0) -> Any:
    return loss(params, x, mask) + noise * jnp.sum(params["w"])


def truth(*, masked: bool) -> tuple[float, np.ndarray]:
    return tr_h2_of(lambda p: loss(p, X, MASK if masked else None), PARAMS)


def step(of_h: Any = loss, **settings: Any) -> Any:
    return penalty.value_and_grad(penalty.autodiff(of_h, probes=1), **settings)


@pytest.mark.parametrize(
    ("run", "masked"),
    [
        (step(), True),
        (step(unnamed), True),
        (step(task=task), True),
        (step(task=task, shared=()), False),
        (step(unnamed, task=task), False),
        (step(unnamed, task=task, shared=["mask"]), True),
    ],
)
def test_a_mask_by_keyword_reaches_the_loss_of_h_as_the_rule_says(run: Any, masked: bool) -> None:
    value, _ = run(PARAMS, X, key=KEY, weight=1.0, mask=MASK)
    np.testing.assert_allclose(value.tr_h2, truth(masked=masked)[0], rtol=1e-5)
    np.testing.assert_allclose(value.loss, loss(PARAMS, X, MASK), rtol=1e-6)


def test_what_the_task_alone_takes_does_not_reach_the_loss_of_h() -> None:
    value, gradient = step(task=task)(PARAMS, X, key=KEY, weight=0.5, mask=MASK, noise=2.0)
    tr_h2, slope = truth(masked=True)
    expected = jax.grad(task)(PARAMS, X, MASK, 2.0)["w"] + 0.5 * slope
    np.testing.assert_allclose(value.tr_h2, tr_h2, rtol=1e-5)
    np.testing.assert_allclose(gradient["w"], expected, rtol=1e-4)


def test_an_estimate_and_a_plain_step_take_it_too() -> None:
    estimator = penalty.autodiff(loss, probes=1)
    tr_h2, _ = truth(masked=True)
    np.testing.assert_allclose(estimator(PARAMS, X, key=KEY, mask=MASK), tr_h2, rtol=1e-5)
    value, _ = penalty.plain_value_and_grad(estimator)(PARAMS, X, mask=MASK)
    np.testing.assert_allclose(value.loss, loss(PARAMS, X, MASK), rtol=1e-6)
    penalty.check(estimator, PARAMS, X, key=KEY, mask=MASK)


def layer_of(loss_of_z: Any) -> penalty.FirstLayer:
    return penalty.FirstLayer(lambda p: (p["w"][:, None], None, ()), loss_of_z, bias=False)


def logistic(zeta: Any, x: Any, y: Any, mask: Any = 1.0) -> Any:
    return jnp.mean(mask * jnp.logaddexp(0.0, -y * zeta[0][:, 0]))


def test_gram_takes_it_and_exact_says_that_its_formula_does_not_know_it() -> None:
    y = jnp.sign(X[:, 1])
    layer = layer_of(logistic)
    run = jax.jit(lambda k: penalty.gram(layer, probes=1)(PARAMS, X, y, key=k, mask=MASK))
    drawn = np.asarray(jax.vmap(run)(jax.random.split(KEY, 4000)))
    tr_h2, _ = tr_h2_of(lambda p: logistic((X @ p["w"][:, None], ()), X, y, MASK), PARAMS)
    assert abs(drawn.mean() - tr_h2) <= 4 * drawn.std() / np.sqrt(drawn.size)
    with pytest.raises(penalty.ModelError, match=r"given mask by keyword; .* `gram` fits"):
        penalty.value_and_grad(penalty.exact(layer))(PARAMS, X, y, key=KEY, weight=1.0, mask=MASK)


@pytest.mark.parametrize(
    "masked",
    [
        lambda z: jnp.where(jnp.arange(3) < 2, z, -jnp.inf),
        lambda z: z + jnp.where(jnp.arange(3) < 2, 0.0, -1e9),
    ],
)
def test_exact_finds_masked_classes_at_a_call_outside_of_jit(masked: Any) -> None:
    def cross_entropy(zeta: Any, x: Any, y: Any) -> Any:
        z = masked(zeta[0])
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[jnp.arange(8), y])

    kernel = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)
    layer = penalty.FirstLayer(lambda p: (p, None, ()), cross_entropy, bias=False)
    y = jnp.asarray([0, 1, 1, 0, 1, 0, 0, 1])
    estimator = penalty.exact(layer)
    with pytest.raises(penalty.ModelError, match="another function"):
        estimator(kernel, X, y, key=KEY)
    with pytest.raises(penalty.ModelError, match="another function"):
        penalty.value_and_grad(estimator)(kernel, X, y, key=KEY, weight=1.0)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1.0, "float32"), (1e4, "float32"), (1.0, "bfloat16"), (100.0, "bfloat16"), (1.0, "float16")],
)
def test_exact_passes_cross_entropy_however_certain_and_coarse(scale: float, dtype: str) -> None:
    def cross_entropy(zeta: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jax.nn.logsumexp(zeta[0], axis=1) - zeta[0][jnp.arange(8), y])

    kernel = jnp.asarray(scale * RNG.normal(size=(4, 3)), dtype)
    layer = penalty.FirstLayer(lambda p: (p, None, ()), cross_entropy, bias=False)
    y = jnp.asarray([0, 1, 1, 0, 1, 0, 0, 1])
    assert penalty.exact(layer)(kernel, X.astype(dtype), y, key=KEY) >= 0
