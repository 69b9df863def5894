"""Flax modules of all kinds: the first layer's loss is the module's, and so is its Hessian."""

from __future__ import annotations

from typing import Any

import flax.core
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flatreg import penalty
from flatreg.penalty import linen

from .truth import double, tr_h2_of

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
Y = jnp.asarray(RNG.integers(0, 2, 6))


def cross_entropy(logits: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))
        return nn.Dense(2)(nn.tanh(x))


VARIABLES = Normalized().init(KEY, X, train=False)
PARAMS = VARIABLES["params"]
STATISTICS = {"batch_stats": jax.tree.map(lambda leaf: leaf + 0.3, VARIABLES["batch_stats"])}


def of_running_averages(params: Any, x: Any, y: Any) -> Any:
    return cross_entropy(Normalized().apply({"params": params, **STATISTICS}, x, train=False), y)


def of_the_batch(params: Any, x: Any, y: Any) -> Any:
    variables = {"params": params, **STATISTICS}
    logits, _ = Normalized().apply(variables, x, train=True, mutable=["batch_stats"])
    return cross_entropy(logits, y)


def assert_same_hessian(layer: penalty.FirstLayer, params: Any, loss: Any) -> None:
    """gram's loss is the module's, and its mean over many probes tr(H^2) of a dense Hessian."""
    np.testing.assert_allclose(layer.loss(layer.enter(params, X), X, Y), loss(params, X, Y), 1e-6)
    run = jax.jit(jax.vmap(lambda k: penalty.gram(layer, probes=1)(params, X, Y, key=k)))
    drawn = np.asarray(run(jax.random.split(KEY, 2000)), np.float64)
    truth, _ = tr_h2_of(lambda p: loss(p, double(X), Y), params)
    assert abs(drawn.mean() - truth) <= 4 * drawn.std(ddof=1) / np.sqrt(drawn.size)


def test_batch_norm_with_running_averages() -> None:
    layer = linen.first_layer(Normalized(), X, cross_entropy, variables=STATISTICS, train=False)
    assert_same_hessian(layer, PARAMS, of_running_averages)


def test_batch_norm_with_the_statistics_of_the_batch() -> None:
    arguments = {"train": True, "mutable": ["batch_stats"]}
    layer = linen.first_layer(Normalized(), X, cross_entropy, variables=STATISTICS, **arguments)
    assert_same_hessian(layer, PARAMS, of_the_batch)


def test_a_task_gets_the_statistics_that_it_changes() -> None:
    layer = linen.first_layer(Normalized(), X, cross_entropy, variables=STATISTICS, train=False)

    def task(zeta: Any, x: Any, y: Any, statistics: Any) -> Any:
        settings = {"train": True, "mutable": ["batch_stats"]}
        return layer.loss(zeta, x, y, variables=statistics, **settings)

    step = penalty.value_and_grad(penalty.gram(layer), task=task, has_aux=True)
    value, _ = jax.jit(step)(PARAMS, X, Y, key=KEY, weight=0.1, statistics=STATISTICS)
    variables = {"params": PARAMS, **STATISTICS}
    _, expected = Normalized().apply(variables, X, train=True, mutable=["batch_stats"])
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(close, value.aux, expected)
    close(value.loss, of_the_batch(PARAMS, X, Y))


def test_statistics_given_in_a_step_are_those_of_the_hessian() -> None:
    """Those of the layer are of a model just initialized."""
    fresh = {"batch_stats": VARIABLES["batch_stats"]}
    layer = linen.first_layer(Normalized(), X, cross_entropy, variables=fresh, train=False)
    step = jax.jit(penalty.value_and_grad(penalty.gram(layer)))
    now, _ = step(PARAMS, X, Y, key=KEY, weight=0.1, variables=STATISTICS)
    layer = linen.first_layer(Normalized(), X, cross_entropy, variables=STATISTICS, train=False)
    step = jax.jit(penalty.value_and_grad(penalty.gram(layer)))
    then, _ = step(PARAMS, X, Y, key=KEY, weight=0.1)
    np.testing.assert_allclose(now.tr_h2, then.tr_h2, rtol=1e-5)


class Net(nn.Module):
    boxes: Any = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.lecun_normal()
        if self.boxes:
            init = self.boxes(init, (None, "model"))
        first = nn.Dense(3, dtype=self.dtype, kernel_init=init)
        return nn.Dense(2, dtype=self.dtype, kernel_init=init)(nn.tanh(first(x)))


@pytest.mark.parametrize("boxes", [nn.with_partitioning, nn.with_logical_partitioning])
def test_boxed_parameters(boxes: Any) -> None:
    net = Net(boxes=boxes)
    params = net.init(KEY, X)["params"]
    layer = linen.first_layer(net, X, cross_entropy)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return cross_entropy(net.apply({"params": params}, x), y)

    assert_same_hessian(layer, params, loss)
    step = jax.jit(penalty.value_and_grad(penalty.gram(layer)))
    _, gradient = step(params, X, Y, key=KEY, weight=0.1)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)


def test_a_frozen_dictionary() -> None:
    params = Net().init(KEY, X)["params"]
    layer = linen.first_layer(Net(), X, cross_entropy)
    run = jax.jit(penalty.value_and_grad(penalty.gram(layer)))
    plain, frozen = (
        run(given, X, Y, key=KEY, weight=0.1) for given in (params, flax.core.freeze(params))
    )
    assert isinstance(frozen[1], flax.core.FrozenDict)
    np.testing.assert_allclose(frozen[0].tr_h2, plain[0].tr_h2, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_module_that_computes_in_half_precision(dtype: Any) -> None:
    """The first layer's outputs are rounded as in the module."""
    net = Net(dtype=dtype)
    params = net.init(KEY, X)["params"]
    layer = linen.first_layer(net, X, lambda logits, y: cross_entropy(logits.astype(float), y))
    value = layer.loss(layer.enter(params, X), X, Y)
    expected = cross_entropy(net.apply({"params": params}, X).astype(float), Y)
    np.testing.assert_allclose(value, expected, rtol=4 * float(jnp.finfo(dtype).eps))


def test_the_params_of_all_variables_can_be_selected() -> None:
    """`autodiff` takes whole variables; `where` leaves out the statistics."""

    def loss(variables: Any, x: Any, y: Any) -> Any:
        return cross_entropy(Normalized().apply(variables, x, train=False), y)

    variables = {"params": PARAMS, **STATISTICS}
    whole = penalty.autodiff(loss, probes=1, where=lambda path: path.startswith("params/"))
    alone = penalty.autodiff(of_running_averages, probes=1)
    drawn = [
        np.asarray(jax.jit(jax.vmap(run))(jax.random.split(KEY, 2000)))
        for run in (
            lambda k: whole(variables, X, Y, key=k),
            lambda k: alone(PARAMS, X, Y, key=k),
        )
    ]
    np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-4)
