"""What `pairs` fits, and how it says what it does not fit; dense layers of a Flax module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flatreg import models, objective, penalty
from flatreg.errors import UserError
from flatreg.penalty import linen

from .problems import PIECEWISE_LINEAR, Problem, cross_entropy, make

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 3))
Y = jnp.array([0, 1, 1, 0])
PROBES = {"probes": 2, "distribution": "rademacher"}


@pytest.fixture(autouse=True, scope="module")
def unoptimized() -> Iterator[None]:
    """Compile without optimization: each program runs once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def single(**changes: Any) -> Problem:
    """A problem of two layers in single precision."""
    shape = {"width": 3, "hidden": [4], "logits": 3, "batch": 4, "activation": "relu"}
    problem = make(seed=0, **shape | changes)
    params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (problem.params, problem.x))
    return problem._replace(params=params, x=x)


def check(network: penalty.DenseLayers, problem: Problem, **options: Any) -> None:
    found = penalty.pairs(network, **options)
    penalty.check(found, problem.params, problem.x, problem.y, key=KEY)


@pytest.mark.parametrize("logits", [1, 3])
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_check_passes_a_chain(logits: int, curvature: str) -> None:
    problem = single(logits=logits, activation="leaky_relu", bias=False)
    check(problem.network, problem, curvature=curvature)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("mistake", ["another loss", "a skip connection", "another activation"])
def test_check_finds_what_the_layers_do_not_say(mistake: str, curvature: str) -> None:
    problem = single()
    network = problem.network

    def other(zeta: Any, x: Any) -> Any:
        z, ((kernel, bias),) = zeta
        if mistake == "a skip connection":
            return jax.nn.relu(z) @ kernel + bias + x
        return jnp.tanh(z) @ kernel + bias

    if mistake == "another loss":
        network = network._replace(loss=lambda z, y: jnp.mean((z - y[:, None]) ** 2))
    else:
        network = network._replace(run=other)
    with pytest.raises(penalty.ModelError, match=r"network is another function.*`autodiff`"):
        check(network, problem, curvature=curvature)


def test_check_finds_an_activation_that_is_curved_on_the_batch_alone() -> None:
    def bent(z: Any) -> Any:
        return jnp.where(jnp.abs(z) > 200, 1e-3 * z**2, z)

    problem = single()
    problem.params[0]["bias"] += 300
    with pytest.raises(penalty.ModelError, match="bent, which is curved"):
        check(problem.network._replace(activation=bent), problem)


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (jnp.tanh, "tanh, which is curved; expected a piecewise linear .*`gram` and `autodiff`"),
        (jax.nn.gelu, "gelu, which is curved"),
        (jax.nn.softmax, "softmax, not elementwise"),
        ([jax.nn.relu, jnp.sin], "sin, which is curved"),
    ],
)
def test_an_activation_that_does_not_fit_is_named(activation: Any, message: str) -> None:
    with pytest.raises(penalty.ModelError, match=f"network.activation is {message}"):
        penalty.pairs(single().network._replace(activation=activation))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"probes": 0}, penalty.ProbeError, "probes is 0; expected None, or a whole number"),
        ({"far": 1.5}, penalty.ProbeError, r"far is 1\.5"),
        ({"target": "data"}, penalty.ArgumentError, "target is 'data'; expected one of batch"),
        ({"curvature": "fisher"}, penalty.ArgumentError, "one of hessian, gauss_newton"),
        ({"probes": 1}, penalty.ProbeError, "probes is 1; expected at least 2"),
    ],
)
def test_an_option_that_is_none(options: Any, error: type[Exception], message: str) -> None:
    problem = single()
    with pytest.raises(error, match=message):
        penalty.pairs(problem.network, **options)(problem.params, problem.x, problem.y, key=KEY)


def test_a_batch_of_one_has_no_pairs() -> None:
    problem = single(batch=1)
    with pytest.raises(penalty.BatchError, match="x is one example; expected at least two"):
        penalty.pairs(problem.network, target="loss")(problem.params, problem.x, problem.y, key=KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": lambda p: [(p[0]["kernel"], p[0]["bias"])]}, "split into 16 numbers of 31"),
        (
            {"split": lambda p: [(p[0]["kernel"], p[0]["bias"]), (p[1]["kernel"].T, p[1]["bias"])]},
            r"network is with kernel float32\[3, 4\] in layer 2; expected a matrix \[4, h\]",
        ),
        ({"bias": False}, "layer is with a bias"),
        ({"activation": [jax.nn.relu] * 2}, "2 functions for 2 layers; expected one function, or"),
    ],
)
def test_layers_that_are_split_wrongly(change: Any, message: str) -> None:
    problem = single()
    network = problem.network._replace(**change)
    with pytest.raises(penalty.ModelError, match=message):
        penalty.pairs(network)(problem.params, problem.x, problem.y, key=KEY)


class Net(nn.Module):
    """Dense layers with a function after each but the last, and more on demand."""

    functions: tuple[Any, ...] = (nn.relu, nn.relu)
    bias: bool = True
    skip: bool = False
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        given = x
        for function in self.functions:
            x = function(nn.Dense(3, use_bias=self.bias)(x))
            x = nn.Dropout(0.5, deterministic=not train)(x)
        return self.scale * nn.Dense(3)(x + given if self.skip else x)


@pytest.mark.parametrize(
    "functions",
    [
        (nn.relu, PIECEWISE_LINEAR["leaky_relu"]),
        (PIECEWISE_LINEAR["identity"], lambda z: jnp.where(z > 0, 2 * z, -z)),
        (jnp.abs,),
        (),
    ],
)
def test_a_module_s_layers_and_activations_are_found(functions: Any) -> None:
    module = Net(functions, bias=False)
    params = module.init(KEY, X)["params"]
    network = linen.dense_layers(module, X, cross_entropy)
    zeta = network.enter(params, X)
    logits = module.apply({"params": params}, X)
    np.testing.assert_allclose(network.forward(zeta).logits, logits, rtol=1e-5, atol=1e-6)
    penalty.pairs(network).verify(zeta, X, Y, key=KEY)


def test_dropout_is_the_task_s() -> None:
    module = Net()
    params = module.init(KEY, X)["params"]
    network = linen.dense_layers(module, X, cross_entropy, train=False)
    rngs = {"dropout": KEY}
    found = network.loss_at(network.enter(params, X), X, Y, train=True, rngs=rngs)
    logits = module.apply({"params": params}, X, train=True, rngs=rngs)
    np.testing.assert_allclose(found, cross_entropy(logits, Y), rtol=1e-5)


def test_layers_are_found_while_a_program_is_traced() -> None:
    @jax.jit
    def estimate(params: Any, x: Any) -> Any:
        network = linen.dense_layers(Net(), x, cross_entropy)
        return penalty.pairs(network)(params, x, Y, key=KEY)

    assert estimate(Net().init(KEY, X)["params"], X) > 0


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (Net((jnp.sin,)), {}, "with an unknown function after layer Dense_0"),
        (Net((nn.softmax,)), {}, "unknown function after layer Dense_0"),
        (Net(skip=True), {}, "unknown function after layer Dense_1"),
        (Net(scale=2.0), {}, "whose output is not that of its last layer"),
        (Net((nn.PReLU(),)), {}, "with the parameter .*negative_slope, outside"),
        (Net(), {"train": True, "rngs": {"dropout": KEY}}, "unknown function after"),
        (nn.Conv(3, (1,)), {}, "outside of a plain nn.Dense"),
        (nn.WeightNorm(nn.Dense(3)), {}, "outside of a plain nn.Dense"),
        (nn.Sequential([nn.relu, nn.Dense(3)]), {}, "first layer alone does not act on the input"),
        (nn.Sequential([nn.Dense(3)] * 2), {}, "a layer called twice"),
    ],
)
def test_a_module_that_is_no_chain_is_refused_by_its_name(
    module: nn.Module, arguments: Any, message: str
) -> None:
    with pytest.raises(penalty.ModelError, match=f"{type(module).__name__}, .*{message}.*`gram`"):
        linen.dense_layers(module, X, cross_entropy, **arguments)


def test_a_module_whose_activation_is_curved_fits_gauss_newton_alone() -> None:
    network = linen.dense_layers(Net((nn.tanh,)), X, cross_entropy)
    params = Net((nn.tanh,)).init(KEY, X)["params"]
    penalty.check(penalty.pairs(network, curvature="gauss_newton"), params, X, Y, key=KEY)
    with pytest.raises(penalty.ModelError, match="tanh, which is curved"):
        penalty.pairs(network)
    given = linen.dense_layers(Net((jnp.sin,)), X, cross_entropy, activation=jnp.sin)
    assert given.activations(1) == (jnp.sin,)


@pytest.mark.parametrize("given", ["all variables", "another module's"])
def test_parameters_that_are_not_the_module_s_are_named(given: str) -> None:
    module = nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2)])
    network = linen.dense_layers(module, X, cross_entropy)
    variables = (module if given == "all variables" else nn.Dense(2)).init(KEY, X)
    params = variables if given == "all variables" else variables["params"]
    message = r"params is without layers_0/kernel, with .*variables\['params'\] of Sequential"
    with pytest.raises(penalty.ModelError, match=message):
        penalty.pairs(network)(params, X, Y, key=KEY)


def test_the_config_may_name_pairs() -> None:
    model = models.build({"name": "mlp", "hidden": [5, 4], "dropout": 0.3}, 3)
    params = model.init(KEY, X, train=False)["params"]
    named = objective.build(model, X, estimator="pairs", **PROBES)
    other = objective.build(model, X, estimator="gram", **PROBES)
    np.testing.assert_allclose(named.logits(params, X), other.logits(params, X), rtol=1e-5)
    losses = []
    for one in (named, other):
        zeta = one.estimator.enter(params, X)
        loss, hits = one.task(zeta, X, Y, rngs={"dropout": KEY})
        losses.append(loss)
        assert 0 <= hits <= 4
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert named.estimator.name == "pairs"


def test_the_config_s_pairs_that_do_not_fit_are_one_line() -> None:
    with pytest.raises(UserError, match=r"'pairs' does not fit: module is Net.*estimator: auto"):
        objective.build(Net(skip=True), X, estimator="pairs", **PROBES)
