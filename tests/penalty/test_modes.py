"""Models and modes of JAX: the same estimate as from a dense Hessian in float64.

The expected value is the mean of ||H v||^2 over the very probes v that the estimator draws.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from flatreg import penalty
from flatreg.penalty import hutchinson

from .truth import double

pytestmark = pytest.mark.usefixtures("quick_compilation")

PROBES, WEIGHT, SEED = 2, 0.1, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype("float32")
Y = np.asarray([0, 1, 1, 0])


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def cross_entropy(logits: Any, y: Any) -> Any:
    chosen = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)


def layers_of(layer: Callable[..., Any], params: Any, x: Any, y: Any) -> Any:
    """Two hidden layers, `layer(kernel, x)`, and a linear one."""
    hidden = layer(params["second"], layer(params["first"], x))
    return cross_entropy(hidden @ params["last"], y)


def tanh_layer(kernel: Any, x: Any) -> Any:
    return jnp.tanh(x @ kernel)


def scanned(params: Any, x: Any, y: Any) -> Any:
    kernels = jnp.stack([params["first"], params["second"]])
    hidden, _ = jax.lax.scan(lambda h, kernel: (tanh_layer(kernel, h), None), x, kernels)
    return cross_entropy(hidden @ params["last"], y)


@jax.custom_jvp
def cube_by_jvp(z: Any) -> Any:
    return z**3


@cube_by_jvp.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (z,), (dz,) = primals, tangents
    return cube_by_jvp(z), 3 * z**2 * dz


@jax.custom_vjp
def cube_by_vjp(z: Any) -> Any:
    return z**3


cube_by_vjp.defvjp(lambda z: (z**3, z), lambda z, slope: (3 * z**2 * slope,))


def cubic_layer(cube: Callable[..., Any], kernel: Any, x: Any) -> Any:
    return cube(0.5 * (x @ kernel))


class Model(NamedTuple):
    """A loss, and one in plain JAX that computes the same."""

    loss: Callable[..., Any]
    reference: Callable[..., Any]


PLAIN = partial(layers_of, tanh_layer)
CUBIC = partial(layers_of, partial(cubic_layer, lambda z: z**3))
MODELS = {
    "plain": Model(PLAIN, PLAIN),
    "remat": Model(partial(layers_of, jax.checkpoint(tanh_layer)), PLAIN),
    "scan": Model(scanned, PLAIN),
    "remat in scan": Model(jax.checkpoint(scanned), PLAIN),
    "jit inside": Model(partial(layers_of, jax.jit(tanh_layer)), PLAIN),
    "custom_jvp": Model(partial(layers_of, partial(cubic_layer, cube_by_jvp)), CUBIC),
    "custom_vjp": Model(partial(layers_of, partial(cubic_layer, cube_by_vjp)), CUBIC),
}
PARAMS = {"first": normal(3, 3), "second": normal(3, 3), "last": normal(3, 2)}


@cache
def probes() -> np.ndarray:
    """The probes [PROBES, n] that `autodiff` draws."""
    keys = jax.random.split(jax.random.key(SEED), PROBES)
    return np.stack([ravel_pytree(hutchinson.draw(PARAMS, key, "rademacher"))[0] for key in keys])


@cache
def expected(reference: Callable[..., Any]) -> tuple[float, float, np.ndarray]:
    """Loss, estimate of tr(H^2), and gradient of their weighted sum, in float64."""
    vectors = probes()
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(double, PARAMS))

        def loss(flat: Any) -> Any:
            return reference(unravel(flat), double(X), Y)

        def tr_h2(flat: Any) -> Any:
            return jnp.sum((jax.hessian(loss)(flat) @ vectors.T) ** 2) / PROBES

        gradient = jax.jit(jax.grad(lambda p: loss(p) + WEIGHT * tr_h2(p)))(flat)
        return float(loss(flat)), float(tr_h2(flat)), np.asarray(gradient)


def agrees(
    model: Model, *, dtype: str = "float32", key: Any = None, rtol: float = 2e-4, jit: bool = True
) -> None:
    """A step of k = 2, with the penalty and without, is what is expected."""
    loss, tr_h2, gradient = expected(model.reference)
    step = penalty.value_and_grad(penalty.autodiff(model.loss, probes=PROBES), interval=2)
    run = jax.jit(step) if jit else step
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), PARAMS)
    key = jax.random.key(SEED) if key is None else key
    x, y = jnp.asarray(X, dtype), jnp.asarray(Y)
    value, slope = run(params, x, y, key=key, step=4, weight=WEIGHT)
    assert value.tr_h2.dtype == value.loss.dtype == jnp.dtype(dtype)
    assert bool(value.applied)
    np.testing.assert_allclose(np.float64(value.loss), loss, rtol=rtol)
    np.testing.assert_allclose(np.float64(value.tr_h2), tr_h2, rtol=4 * rtol)
    flat = np.asarray(ravel_pytree(slope)[0], np.float64)
    assert np.linalg.norm(flat - gradient) <= 4 * rtol * np.linalg.norm(gradient)


@pytest.mark.parametrize("name", MODELS)
def test_each_model(name: str) -> None:
    agrees(MODELS[name])


MODES: dict[str, Callable[[], Any]] = {
    "rank promotion raises": lambda: jax.numpy_rank_promotion("raise"),
    "strict promotion of types": lambda: jax.numpy_dtype_promotion("strict"),
    "keys are used once": lambda: jax.debug_key_reuse(True),
    "leaks of tracers": jax.checking_leaks,
    "NaNs raise": lambda: jax.debug_nans(True),
    "infinities raise": lambda: jax.debug_infs(True),
    "float32 under x64": lambda: jax.enable_x64(True),
    "no jit": jax.disable_jit,
}


@pytest.mark.parametrize(
    ("mode", "model"),
    [
        *((mode, "plain") for mode in MODES),
        ("leaks of tracers", "remat in scan"),
    ],
)
def test_each_mode(mode: str, model: str) -> None:
    expected(MODELS[model].reference)
    with MODES[mode]():
        agrees(MODELS[model])


def test_outside_of_jit() -> None:
    agrees(MODELS["plain"], jit=False)


def test_a_key_of_the_old_style_gives_the_same_probes() -> None:
    agrees(MODELS["plain"], key=jax.random.PRNGKey(SEED))


@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float64", 1e-12), ("bfloat16", 5e-2), ("float16", 5e-3)]
)
def test_parameters_of_each_precision(dtype: str, rtol: float) -> None:
    expected(PLAIN)
    with jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext():
        agrees(MODELS["plain"], dtype=dtype, rtol=rtol)


LINEAR = {"kernel": normal(3, 2), "bias": normal(2)}
LAYER = penalty.FirstLayer(
    lambda p: (p["kernel"], p["bias"], ()), lambda zeta, x, y: cross_entropy(zeta[0], y)
)
NETWORK = penalty.DenseLayers(
    lambda p: [(p["first"], None), (p["second"], p["shift"]), (p["last"], None)],
    cross_entropy,
    bias=False,
)
KERNELS = {"first": True, "second": True, "shift": False, "last": True}
DEEP = PARAMS | {"shift": normal(3)}
OF_LAYERS = {
    "gram": (penalty.gram(LAYER, probes=hutchinson.UNROLLED + 2), LINEAR),
    "gram of some": (penalty.gram(LAYER, where=lambda path: path == "bias"), LINEAR),
    "exact": (penalty.exact(LAYER), LINEAR),
    "exact of some": (penalty.exact(LAYER, where=lambda path: path == "kernel"), LINEAR),
    "pairs": (penalty.pairs(NETWORK, probes=1, target="loss"), DEEP),
    "pairs of some": (penalty.pairs(NETWORK, probes=None, where=KERNELS), DEEP),
}


def of_layers(name: str) -> Any:
    """Value and gradient of one of these estimators."""
    estimator, params = OF_LAYERS[name]
    key = jax.random.key(SEED)
    return jax.jit(jax.value_and_grad(partial(estimator, key=key)))(params, X, Y)


@cache
def usual(name: str) -> Any:
    """The same without a mode, which the proof holds against the truth."""
    return of_layers(name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OF_LAYERS)
def test_estimators_of_layers_in_each_mode(name: str, mode: str) -> None:
    expected = usual(name)
    with MODES[mode]():
        found = of_layers(name)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), found, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["gram", "exact", "pairs of some"])
def test_layers_in_half_precision(name: str, dtype: str) -> None:
    """Outside of jit, where `exact` and `pairs` verify the loss."""
    expected, _ = usual(name)
    estimator, params = OF_LAYERS[name]
    params, x = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, X))
    found = estimator(params, x, Y, key=jax.random.key(SEED))
    np.testing.assert_allclose(float(found), expected, rtol=8 * float(jnp.finfo(dtype).eps))


def test_many_probes_are_a_loop_over_the_same_probes() -> None:
    probes = hutchinson.UNROLLED + 3
    keys = jax.random.split(jax.random.key(SEED), probes)
    drawn = jax.vmap(lambda key: ravel_pytree(hutchinson.draw(PARAMS, key, "rademacher"))[0])(keys)
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(double, PARAMS))
        hessian = jax.jit(jax.hessian(lambda p: PLAIN(unravel(p), double(X), Y)))(flat)
    truth = np.sum((np.asarray(hessian) @ np.asarray(drawn).T) ** 2) / probes
    estimator = penalty.autodiff(PLAIN, probes=probes)
    value = jax.jit(estimator)(PARAMS, X, Y, key=jax.random.key(SEED))
    np.testing.assert_allclose(value, truth, rtol=1e-4)


def test_gradients_that_multi_steps_accumulates() -> None:
    """With all micro-batches alike, an update is that of one."""
    step = penalty.value_and_grad(penalty.autodiff(PLAIN, probes=PROBES))
    optimizer = optax.MultiSteps(optax.sgd(1.0), every_k_schedule=2)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Any, state: Any) -> Any:
        _, slope = step(params, X, Y, key=jax.random.key(SEED), weight=WEIGHT)
        updates, state = optimizer.update(slope, state, params)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.array, PARAMS)
    state = optimizer.init(params)
    for _ in range(2):
        params, state = update(params, state)
    moved = ravel_pytree(jax.tree.map(jnp.subtract, PARAMS, params))[0]
    np.testing.assert_allclose(moved, expected(PLAIN)[2], rtol=1e-3, atol=1e-5)
