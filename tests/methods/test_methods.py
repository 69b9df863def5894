"""Each method against a closed form, a dense Hessian or a second implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from flatreg.methods import Batch, Descent, Method, chain
from flatreg.methods.asam import asam
from flatreg.methods.averaged import averaged
from flatreg.methods.frobenius_noise import frobenius_noise
from flatreg.methods.gradient_norm import gradient_norm
from flatreg.methods.input_noise import input_noise
from flatreg.methods.sam import sam
from flatreg.methods.two_sided_noise import two_sided_noise

Loss = Callable[[Any, Any, Any], jax.Array]


@pytest.fixture(autouse=True)
def in_float64() -> Any:
    with jax.enable_x64(True):
        yield


def network(params: Any, x: Any, y: Any) -> jax.Array:
    """Mean cross-entropy of a small network with tanh."""
    z = jnp.tanh(x @ params["first"] + params["bias"]) @ params["second"]
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(z, y))


def problem(seed: int = 0) -> tuple[Any, Batch]:
    rng = np.random.default_rng(seed)
    shapes = {"first": (3, 4), "bias": (4,), "second": (4, 3)}
    params = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    x, y = jnp.asarray(rng.normal(size=(8, 3))), jnp.asarray(rng.integers(0, 3, 8))
    return params, Batch(x, y, jax.random.key(seed))


def task_of(loss: Loss) -> Callable[[Any, Batch], Descent]:
    def gradient(params: Any, batch: Batch) -> Descent:
        value, slope = jax.value_and_grad(loss)(params, batch.x, batch.y)
        return Descent(value, jnp.int32(0), slope)

    return gradient


def descent(method: Method, params: Any, batch: Batch, loss: Loss = network, **given: float) -> Any:
    return method.gradient(task_of(loss), params, batch, method.start(params), **given)


def flat(tree: Any) -> np.ndarray:
    return np.asarray(ravel_pytree(tree)[0])


def hessian(params: Any, batch: Batch) -> np.ndarray:
    vector, unravel = ravel_pytree(params)
    return np.asarray(jax.hessian(lambda v: network(unravel(v), batch.x, batch.y))(vector))


def test_sam_is_optax_s() -> None:
    params, batch = problem()
    slope = jax.grad(network)
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.3))
    theirs = optax.contrib.sam(optax.sgd(1.0), ascent, opaque_mode=True)
    update, _ = theirs.update(
        slope(params, batch.x, batch.y),
        theirs.init(params),
        params,
        grad_fn=lambda params, _: slope(params, batch.x, batch.y),
    )
    ours = descent(sam(), params, batch, radius=0.3)
    np.testing.assert_allclose(flat(ours.gradient), -flat(update), rtol=1e-12)


def test_sam_s_loss_is_that_of_the_parameters() -> None:
    params, batch = problem()
    ours = descent(sam(), params, batch, radius=0.3)
    assert ours.loss == network(params, batch.x, batch.y)


def test_asam_is_sam_in_other_units() -> None:
    """Where all parameters have the size 1, eta 0, both are the same (Kwon et al., section 3)."""
    params, batch = problem()
    signs = jax.tree.map(jnp.sign, params)
    ours = descent(asam(least=0.0), signs, batch, radius=0.3)
    theirs = descent(sam(), signs, batch, radius=0.3)
    np.testing.assert_allclose(flat(ours.gradient), flat(theirs.gradient), rtol=1e-12)


def test_asam_does_not_change_with_the_units_of_the_parameters() -> None:
    """Of L(s * theta) at theta / s the ascent reaches the same function, for any s > 0."""
    params, batch = problem()
    scale = {"first": 3.0, "bias": 0.2, "second": 7.0}

    def scaled(params: Any, x: Any, y: Any) -> jax.Array:
        return network(jax.tree.map(jnp.multiply, scale, params), x, y)

    ours = descent(asam(least=0.0), params, batch, radius=0.3)
    other = descent(
        asam(least=0.0), jax.tree.map(jnp.divide, params, scale), batch, scaled, radius=0.3
    )
    back = jax.tree.map(jnp.divide, other.gradient, scale)
    np.testing.assert_allclose(flat(back), flat(ours.gradient), rtol=1e-10)


def test_gradient_norm_is_the_derivative_of_the_norm() -> None:
    params, batch = problem()
    radius, balance = 1e-5, 0.8

    def total(params: Any) -> jax.Array:
        slope = jax.grad(network)(params, batch.x, batch.y)
        return network(params, batch.x, batch.y) + balance * radius * optax.tree.norm(slope)

    ours = flat(descent(gradient_norm(balance=balance), params, batch, radius=radius).gradient)
    plain = flat(jax.grad(network)(params, batch.x, batch.y))
    expected = flat(jax.grad(total)(params))
    np.testing.assert_allclose(ours - plain, expected - plain, rtol=1e-3)


def test_two_sided_noise_adds_half_the_trace() -> None:
    """Its loss has the mean L + sigma^2 tr(H) / 2, without a term of the gradient's."""
    params, batch = problem()
    scale, draws = 1e-2, 20_000
    slope = jnp.sum(flat(jax.grad(network)(params, batch.x, batch.y)) ** 2)

    def loss(key: jax.Array) -> jax.Array:
        return descent(two_sided_noise(), params, batch._replace(key=key), scale=scale).loss

    losses = jax.jit(jax.vmap(loss))(jax.random.split(jax.random.key(1), draws))
    added = (np.mean(losses) - network(params, batch.x, batch.y)) / scale**2
    spread = np.std(losses) / scale**2 / np.sqrt(draws)
    assert spread < 0.02 * np.sqrt(slope), "the gradient's term has cancelled"
    assert abs(added - np.trace(hessian(params, batch)) / 2) < 4 * spread


def test_frobenius_noise_estimates_the_square_of_the_dense_hessian() -> None:
    params, batch = problem()
    method, draws = frobenius_noise(radius=1e-3, draws=3), 20_000

    def estimate(key: jax.Array) -> jax.Array:
        return descent(method, params, batch._replace(key=key), weight=0.0).estimate

    estimates = np.asarray(jax.jit(jax.vmap(estimate))(jax.random.split(jax.random.key(1), draws)))
    truth = np.sum(hessian(params, batch) ** 2)
    assert abs(estimates.mean() - truth) < 4 * estimates.std() / np.sqrt(draws)


def test_frobenius_noise_descends_its_own_estimate() -> None:
    params, batch = problem()
    method = frobenius_noise(radius=1e-3, draws=3)

    def estimate(params: Any) -> jax.Array:
        return descent(method, params, batch, weight=0.0).estimate

    given = descent(method, params, batch, weight=1.0).gradient
    plain = jax.grad(network)(params, batch.x, batch.y)
    np.testing.assert_allclose(
        flat(given) - flat(plain), flat(jax.grad(estimate)(params)), rtol=1e-5, atol=1e-8
    )


def test_input_noise_is_ridge_regression() -> None:
    """Of a linear model's squares, noise of variance s^2 adds s^2 |w|^2 (Bishop 1995)."""
    rng = np.random.default_rng(0)
    w, x, y = (jnp.asarray(rng.normal(size=shape)) for shape in ((3,), (8, 3), (8,)))

    def squares(w: Any, x: Any, y: Any) -> jax.Array:
        return jnp.mean((x @ w - y) ** 2)

    def slope(key: jax.Array) -> jax.Array:
        return descent(input_noise(), w, Batch(x, y, key), squares, scale=0.5).gradient

    slopes = np.asarray(jax.jit(jax.vmap(slope))(jax.random.split(jax.random.key(1), 20_000)))
    expected = jax.grad(squares)(w, x, y) + 2 * 0.5**2 * w
    error = slopes.std(axis=0) / np.sqrt(len(slopes))
    assert (np.abs(slopes.mean(axis=0) - expected) < 4 * error).all()


def test_an_average_of_weights_is_that_of_pandas() -> None:
    """Also while it is young: weights of the steps so far, by their age, that sum to 1."""
    rng = np.random.default_rng(0)
    steps, method = rng.normal(size=7), averaged()
    state = method.start(jnp.zeros(()))
    for value in steps:
        state = method.advance(state, jnp.asarray(value), None, horizon=3.0)
    ages = np.exp(-np.arange(len(steps))[::-1] / 3)
    expected = np.average(steps, weights=ages)
    np.testing.assert_allclose(method.deploy(state, jnp.asarray(steps[-1])), expected, rtol=1e-6)


def test_an_average_of_no_steps_is_where_it_began() -> None:
    method = averaged()
    assert method.deploy(method.start(jnp.asarray(2.0)), jnp.asarray(2.0)) == 2.0


def test_the_first_of_a_chain_is_outermost() -> None:
    """SAM of noisy inputs goes uphill and down on the same noise."""
    params, batch = problem()
    methods = {"sam": sam(), "input_noise": input_noise()}
    both = chain(methods, task_of(network))
    given = {"sam.radius": 0.3, "input_noise.scale": 0.1}
    ours = both.gradient(params, batch, both.start(params), given)
    key = jax.random.fold_in(batch.key, 1)
    x = batch.x + 0.1 * jax.random.normal(key, batch.x.shape, batch.x.dtype)
    expected = descent(sam(), params, batch._replace(x=x), radius=0.3)
    np.testing.assert_allclose(flat(ours.gradient), flat(expected.gradient), rtol=1e-12)
