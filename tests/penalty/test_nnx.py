"""Flax nnx models: their first layer and their dense layers, as found in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from flatreg import penalty
from flatreg.penalty import linen
from flatreg.penalty.nnx import dense_layers, first_layer

from .problems import cross_entropy
from .truth import double, tr_h2_of

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 3))
Y = jnp.array([0, 1, 1, 0])


def linear(width: int = 3, outputs: int = 3, seed: int = 0, **settings: Any) -> nnx.Linear:
    start = nnx.initializers.normal(0.5)
    return nnx.Linear(width, outputs, rngs=nnx.Rngs(seed), bias_init=start, **settings)


def sequential(*functions: Any, **settings: Any) -> nnx.Sequential:
    """Linear layers of width 3, with a function after each but the last."""
    layers = [linear(seed=0, **settings)]
    for seed, function in enumerate(functions, 1):
        layers += [function, linear(seed=seed, **settings)]
    return nnx.Sequential(*layers)


class Net(nnx.Module):
    """A chain that is written by hand, and what may be amiss with it."""

    def __init__(self, fault: str = "", rate: float = 0.5) -> None:
        self.fault = fault
        self.head, self.body = linear(seed=1), linear(seed=2)
        self.dropout = nnx.Dropout(rate, rngs=nnx.Rngs(3))
        if fault == "another parameter":
            self.scale = nnx.Param(jnp.ones(3))
        if fault == "a shared kernel":
            self.head.kernel = self.body.kernel

    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = self.dropout(nnx.relu(self.body(x)))
        if self.fault == "a skip connection":
            hidden = hidden + x
        if self.fault == "a scaled output":
            return 2 * self.head(hidden)
        if self.fault == "a layer that is called twice":
            return self.head(nnx.relu(self.body(hidden)))
        if self.fault == "another use of the kernel":
            return hidden @ self.body.kernel[...].T
        return self.head(hidden * self.scale[...] if hasattr(self, "scale") else hidden)


def parts(model: nnx.Module) -> tuple[Any, Callable[..., Any]]:
    """The parameters, and the model's loss as a function of them without the library."""
    graph, params, state = nnx.split(model, nnx.Param, ...)
    return params, lambda p, x, y: cross_entropy(nnx.merge(graph, p, state)(x), y)


def assert_dense(estimator: Callable[..., Any], model: nnx.Module) -> None:
    """Value and gradient are those of the dense Hessian in float64."""
    params, loss = parts(model)
    value, slope = jax.jit(jax.value_and_grad(lambda p: estimator(p, X, Y, key=KEY)))(params)
    with jax.enable_x64(True):
        truth, expected = tr_h2_of(lambda p: loss(p, double(X), Y), params)
    np.testing.assert_allclose(value, truth, rtol=1e-4)
    found = ravel_pytree(slope)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    "model",
    [
        sequential(nnx.relu, lambda z: jnp.where(z > 0, 2 * z, -z)),
        sequential(nnx.leaky_relu, use_bias=False),
        Net(rate=0.0),
        linear(),
    ],
    ids=["Sequential", "no biases", "a module", "one layer"],
)
def test_a_chain_s_layers_and_activations_are_found(model: nnx.Module) -> None:
    network = dense_layers(model, X, cross_entropy)
    estimator = penalty.pairs(network, probes=None, far=None)
    params, loss = parts(model)
    penalty.check(estimator, params, X, Y, key=KEY, reference=loss)
    assert_dense(estimator, model)


def test_a_first_layer_is_found_and_the_rest_is_any_function() -> None:
    model = Net("a skip connection", rate=0.0)
    layer = first_layer(model, X, cross_entropy)
    params, loss = parts(model)
    penalty.check(penalty.gram(layer), params, X, Y, key=KEY, reference=loss)
    run = jax.jit(jax.vmap(lambda key: penalty.gram(layer, probes=1)(params, X, Y, key=key)))
    drawn = np.asarray(run(jax.random.split(KEY, 2000)), np.float64)
    truth, _ = tr_h2_of(lambda p: loss(p, double(X), Y), params)
    assert abs(drawn.mean() - truth) <= 4 * drawn.std(ddof=1) / np.sqrt(drawn.size)
    np.testing.assert_array_equal(
        nnx.state(model)["body"]["bias"][...], params["body"]["bias"][...]
    )


def test_a_layer_that_computes_in_half_precision() -> None:
    model = sequential(nnx.tanh, dtype=jnp.bfloat16)
    layer = first_layer(model, X, lambda logits, y: cross_entropy(logits.astype(float), y))
    params, _ = parts(model)
    expected = cross_entropy(model(X).astype(float), Y)
    found = layer.loss(layer.enter(params, X), X, Y)
    np.testing.assert_allclose(found, expected, rtol=0.03)


def test_dropout_is_the_task_s() -> None:
    """By a model in training mode, whose layers are the same."""
    model = Net()
    params, state = nnx.state(model, nnx.Param), nnx.state(model, nnx.Not(nnx.Param))
    model.eval()
    estimator = penalty.pairs(dense_layers(model, X, cross_entropy))
    model.train()
    trained = first_layer(model, X, cross_entropy)

    def task(zeta: Any, x: Any, y: Any) -> Any:
        z, ((kernel, bias),) = zeta
        rest = {"head/kernel": kernel, "head/bias": bias}
        return trained.loss((z, rest), x, y, state=state)

    step = jax.jit(penalty.value_and_grad(estimator, task=task))
    value, _ = step(params, X, Y, key=KEY, weight=0.1)
    np.testing.assert_allclose(value.loss, cross_entropy(model(X), Y), rtol=1e-5)
    model.eval()
    assert abs(value.loss - cross_entropy(model(X), Y)) > 1e-3


def test_layers_are_found_while_a_program_is_traced() -> None:
    model = sequential(nnx.relu)
    graph, params = nnx.split(model)

    @jax.jit
    def estimate(params: Any, x: Any) -> Any:
        network = dense_layers(nnx.merge(graph, params), x, cross_entropy)
        return penalty.pairs(network)(params, x, Y, key=KEY)

    assert estimate(params, X) > 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sequential(jnp.sin), "Sequential, with an unknown function after layer layers/0"),
        (sequential(nnx.softmax), "unknown function after layer layers/0"),
        (Net("a skip connection", rate=0.0), "Net, with an unknown function after layer body"),
        (Net("a scaled output", rate=0.0), "whose output is not that of its last layer"),
        (Net("another parameter", rate=0.0), "with the parameter scale, outside of a plain"),
        (Net("a shared kernel", rate=0.0), "whose kernel is not its parameter"),
        (Net("a layer that is called twice", rate=0.0), "with a layer called twice"),
        (Net(), "with an unknown function after layer body"),
        (nnx.Sequential(nnx.relu, linear()), "first layer alone does not act on the input"),
        (
            nnx.Sequential(nnx.LoRALinear(3, 3, lora_rank=1, rngs=nnx.Rngs(0))),
            "with the parameter .*, outside of a plain nnx.Linear",
        ),
    ],
)
def test_a_model_that_is_no_chain_is_refused_by_its_name(model: nnx.Module, message: str) -> None:
    with pytest.raises(penalty.ModelError, match=f"{message}.*plain nnx.Linear layers.*`gram`"):
        dense_layers(model, X, cross_entropy)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nnx.Sequential(nnx.relu, linear()), "Sequential, with no plain nnx.Linear on its input"),
        (Net("a layer that is called twice", rate=0.0), "with 1 plain nnx.Linear on its input"),
        (Net("another use of the kernel", rate=0.0), "uses the kernel of its first layer elsewh"),
        (Net("a shared kernel", rate=0.0), "Net, which uses the kernel of its first layer elsewh"),
    ],
)
def test_a_model_without_a_first_layer_of_its_own(model: nnx.Module, message: str) -> None:
    with pytest.raises(penalty.ModelError, match=f"{message}.*`autodiff`"):
        first_layer(model, X, cross_entropy)


def test_parameters_of_another_model_are_named() -> None:
    network = dense_layers(sequential(nnx.relu), X, cross_entropy)
    params, _ = parts(sequential(nnx.relu, use_bias=False))
    with pytest.raises(penalty.ModelError, match=r"params is .* in layers/0/bias; .*of Sequential"):
        penalty.pairs(network)(params, X, Y, key=KEY)


@pytest.mark.parametrize("find", [first_layer, dense_layers])
def test_a_module_of_linen_is_named(find: Callable[..., Any]) -> None:
    with pytest.raises(penalty.ModelError, match=r"module is Dense; expected .* nnx .*\.linen$"):
        find(nn.Dense(3), X, cross_entropy)


@pytest.mark.parametrize("find", [linen.first_layer, linen.dense_layers])
def test_a_model_of_nnx_is_named(find: Callable[..., Any]) -> None:
    with pytest.raises(penalty.ModelError, match=r"module is Linear; expected .* linen .*\.nnx$"):
        find(linear(), X, cross_entropy)


def test_a_curved_activation_fits_gauss_newton_alone() -> None:
    network = dense_layers(sequential(nnx.tanh), X, cross_entropy)
    with pytest.raises(penalty.ModelError, match="tanh, which is curved"):
        penalty.pairs(network)
    given = dense_layers(sequential(jnp.sin), X, cross_entropy, activation=jnp.sin)
    assert given.activations(1) == (jnp.sin,)
