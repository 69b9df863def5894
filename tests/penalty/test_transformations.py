"""The penalty in users' programs: jit, vmap, scan, grad, donation, devices, Flax."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.experimental.sparse import BCOO

from flatreg import penalty
from flatreg.penalty import linen

from .problems import make

pytestmark = pytest.mark.usefixtures("quick_compilation")

PROBLEM = jax.tree.map(
    lambda leaf: (
        jnp.asarray(leaf, jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    ),
    make(seed=0, width=6, hidden=[4], logits=3, batch=4)._replace(activation=None),
)._replace(activation="tanh")
PARAMS, X, Y = PROBLEM.params, PROBLEM.x, PROBLEM.y
KEY = jax.random.key(0)
NAMES = ["autodiff", "gram"]


def estimator(name: str) -> penalty.Estimator:
    return PROBLEM.estimators(probes=3)[name]


def close(one: Any, other: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other)


@pytest.mark.parametrize("name", NAMES)
def test_jit_and_grad(name: str) -> None:
    plain = jax.grad(estimator(name))(PARAMS, X, Y, key=KEY)
    close(jax.jit(jax.grad(estimator(name)))(PARAMS, X, Y, key=KEY), plain)


@pytest.mark.parametrize("name", NAMES)
def test_vmap_over_seeds(name: str) -> None:
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda k: estimator(name)(PARAMS, X, Y, key=k))(keys)
    close(together, jnp.stack([estimator(name)(PARAMS, X, Y, key=k) for k in keys]))


@pytest.mark.parametrize("name", NAMES)
def test_vmap_over_parameters(name: str) -> None:
    stacked = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), PARAMS)
    together = jax.vmap(lambda p: estimator(name)(p, X, Y, key=KEY))(stacked)
    second = estimator(name)(jax.tree.map(lambda p: 2 * p, PARAMS), X, Y, key=KEY)
    close(together[1], second)


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_with_donated_buffers_is_a_loop(name: str) -> None:
    value_and_grad = penalty.value_and_grad(estimator(name), interval=2)
    optimizer = optax.sgd(0.1)

    def step(carry: Any, number: Any) -> Any:
        params, state = carry
        key = jax.random.fold_in(KEY, number)
        value, gradient = value_and_grad(params, X, Y, key=key, weight=0.1, step=number)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), (value.tr_h2, value.applied)

    numbers = jnp.arange(1, 6)
    looped, compiled = (PARAMS, optimizer.init(PARAMS)), jax.jit(step)
    for number in numbers:
        looped, _ = compiled(looped, number)
    scanned = jax.jit(lambda carry: jax.lax.scan(step, carry, numbers), donate_argnums=0)
    copy = jax.tree.map(jnp.copy, (PARAMS, optimizer.init(PARAMS)))
    done, (tr_h2, applied) = scanned(copy)
    close(done, looped)
    assert applied.tolist() == [False, True, False, True, False]
    assert np.array_equal(tr_h2 > 0, applied)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_the_gradient_of_loss_plus_weight_times_the_estimate(name: str) -> None:
    def total(params: Any) -> Any:
        return PROBLEM.loss(params, X, Y) + 0.3 * estimator(name)(params, X, Y, key=KEY)

    value, gradient = penalty.value_and_grad(estimator(name))(PARAMS, X, Y, key=KEY, weight=0.3)
    close(gradient, jax.grad(total)(PARAMS))
    close(value.loss, PROBLEM.loss(PARAMS, X, Y))
    close(value.tr_h2, estimator(name)(PARAMS, X, Y, key=KEY))


@pytest.mark.parametrize("name", NAMES)
def test_between_the_intervals_and_at_lambda_0_a_step_is_plain(name: str) -> None:
    expected = jax.grad(PROBLEM.loss)(PARAMS, X, Y)
    step = penalty.value_and_grad(estimator(name), interval=3)
    value, between = step(PARAMS, X, Y, key=KEY, weight=0.3, step=4)
    assert not value.applied
    close(between, expected)
    close(penalty.plain_value_and_grad(estimator(name))(PARAMS, X, Y)[1], expected)


def test_the_weight_is_traced() -> None:
    compiled = 0

    @jax.jit
    def step(weight: Any) -> Any:
        nonlocal compiled
        compiled += 1
        run = penalty.value_and_grad(estimator("gram"))
        return run(PARAMS, X, Y, key=KEY, weight=weight)[1]

    gradients = [step(jnp.float32(w)) for w in (0.001, 0.1, 1.0)]
    assert compiled == 1
    assert not np.allclose(gradients[0][0]["kernel"], gradients[2][0]["kernel"])


@pytest.mark.parametrize(
    ("scaling", "factor"), [("per_application", 0.1 / 32), ("interval_fold", 10 * 0.1 / 32)]
)
def test_scale(scaling: str, factor: float) -> None:
    assert penalty.scale(0.1, batch=32, interval=10, scaling=scaling) == pytest.approx(factor)


def test_x64_stays_x64() -> None:
    with jax.enable_x64(True):
        double = make(seed=0, width=6, hidden=[4], logits=3, batch=4)
        for found in double.estimators().values():
            value = found(double.params, double.x, double.y, key=jax.random.key(0))
            assert value.dtype == jnp.float64


class Net(nn.Module):
    """A model with a skip connection from the input, which the split of the first layer allows."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        hidden = nn.relu(nn.Dense(4)(x)) + x[:, :4]
        hidden = nn.Dropout(0.5, deterministic=not train)(hidden)
        return nn.Dense(3)(hidden)


def logits_loss(logits: jax.Array, y: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def test_a_linen_module_s_first_layer_gives_its_loss_and_its_hessian() -> None:
    module = Net()
    params = module.init(KEY, X, train=False)["params"]
    layer = linen.first_layer(module, X, logits_loss, train=False)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return logits_loss(module.apply({"params": params}, x, train=False), y)

    zeta = layer.enter(params, X)
    close(layer.loss(zeta, X, Y), loss(params, X, Y))
    rngs = {"dropout": jax.random.key(1)}
    dropped = module.apply({"params": params}, X, train=True, rngs=rngs)
    close(layer.loss(zeta, X, Y, train=True, rngs=rngs), logits_loss(dropped, Y))
    one, other = (
        jnp.stack([f(params, X, Y, key=k) for k in jax.random.split(KEY, 200)])
        for f in map(jax.jit, (penalty.gram(layer), penalty.autodiff(loss)))
    )
    error = np.hypot(one.std(), other.std()) / np.sqrt(200)
    assert abs(one.mean() - other.mean()) <= 4 * error


def test_an_nnx_module_is_a_function_of_its_parameters() -> None:
    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first, self.second = nnx.Linear(6, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.second(nnx.relu(self.first(x)))

    graph, params = nnx.split(Model(nnx.Rngs(0)), nnx.Param)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return logits_loss(nnx.merge(graph, params)(x), y)

    def split(params: Any) -> Any:
        return params["first"]["kernel"][...], params["first"]["bias"][...], params["second"]

    def after_first(zeta: Any, x: Any, y: Any) -> Any:
        z, second = zeta
        return logits_loss(nnx.relu(z) @ second["kernel"][...] + second["bias"][...], y)

    layer = penalty.FirstLayer(split, after_first)
    for found in (penalty.autodiff(loss), penalty.gram(layer)):
        value, gradient = penalty.value_and_grad(found)(params, X, Y, key=KEY, weight=1.0)
        assert value.tr_h2 > 0
        assert jax.tree.structure(gradient) == jax.tree.structure(params)


DEVICES = """
    import jax, jax.numpy as jnp, numpy as np
    from flatreg import penalty
    assert len(jax.devices()) == 4
    rng = np.random.default_rng(0)
    params = [jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((6, 5), (5, 3))]
    x = jnp.asarray(rng.normal(size=(8, 6)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 3, 8))
    nll = lambda logits, y: jnp.mean(
        jax.nn.logsumexp(logits, 1) - jnp.take_along_axis(logits, y[:, None], 1)[:, 0])
    loss = lambda p, x, y: nll(jnp.tanh(x @ p[0]) @ p[1], y)
    layer = penalty.FirstLayer(
        lambda p: (p[0], None, p[1]), lambda zeta, x, y: nll(jnp.tanh(zeta[0]) @ zeta[1], y), False)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    for found in (penalty.autodiff(loss), penalty.gram(layer)):
        step = jax.jit(penalty.value_and_grad(found))
        alone = step(params, x, y, key=jax.random.key(0), weight=0.5)
        spread = penalty.shard_batch(mesh, x, y)
        assert len(spread[0].sharding.device_set) == 4
        together = step(params, *spread, key=jax.random.key(0), weight=0.5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
                     alone, together)
    try:
        penalty.shard_batch(mesh, x[:6], y[:6])
    except penalty.BatchError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_batch_over_four_devices_gives_what_one_gives() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DEVICES)],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "a multiple of the 4 devices" in done.stdout


@pytest.mark.parametrize("batch", [4, 10], ids=["wide", "narrow"])
@pytest.mark.parametrize("kind", ["uint8", "int32", "sparse"])
def test_whole_numbers_and_sparse_inputs_are_what_their_dense_floats_are(
    kind: str, batch: int
) -> None:
    """Products of small whole numbers do not wrap around."""
    problem = make(seed=1, width=6, hidden=[], logits=3, batch=batch)
    x = np.round(20 * np.abs(problem.x)).astype("float32")
    given = BCOO.fromdense(jnp.asarray(x)) if kind == "sparse" else jnp.asarray(x, kind)
    params = jax.tree.map(lambda leaf: 0.01 * leaf.astype(jnp.float32), problem.params)
    for name in ("gram", "exact"):
        found = problem.estimators(probes=2)[name]
        close(
            found(params, given, problem.y, key=KEY),
            found(params, jnp.asarray(x), problem.y, key=KEY),
        )


def test_parameters_in_half_precision_and_a_loss_in_single() -> None:
    def loss(params: Any, x: Any, y: Any) -> Any:
        logits = (x.astype(jnp.bfloat16) @ params).astype(jnp.float32)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    run = penalty.value_and_grad(penalty.autodiff(loss), interval=2)
    params = jnp.ones((6, 3), jnp.bfloat16)
    for step in (1, 2):
        value, gradient = run(params, X, Y, key=KEY, weight=0.1, step=step)
        assert value.tr_h2.dtype == value.loss.dtype == jnp.float32
        assert gradient.dtype == jnp.bfloat16
