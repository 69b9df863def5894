"""`pairs` against the dense float64 Hessians of the single examples, and their derivatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from jax.flatten_util import ravel_pytree

from flatreg import penalty
from flatreg.penalty import hutchinson

from .problems import DRAWN, PIECEWISE_LINEAR, Problem, cross_entropy, make

pytestmark = pytest.mark.usefixtures("double_precision")

KEY = jax.random.key(0)
TARGETS = ("batch", "loss")
WAYS = list(itertools.product(["hessian", "gauss_newton"], TARGETS))
EXACT = {"probes": None, "far": None}
THREE = {"width": 4, "hidden": [3, 2], "logits": 3, "batch": 3, "activation": "relu"}


def of_single_examples(problem: Problem, curvature: str) -> Callable[[Any, Any, Any], Any]:
    """H_i, or G_i = J^T A J, of each example by autodiff: `f(params, x, y) -> [B, n, n]`."""
    _, unravel = ravel_pytree(problem.params)

    def of_one(flat: Any, x: Any, y: Any) -> Any:
        if curvature == "hessian":
            return jax.hessian(lambda p: problem.loss(unravel(p), x[None], y[None]))(flat)
        logits = lambda p: problem.logits(unravel(p), x[None])[0]  # noqa: E731
        a = jax.hessian(lambda z: cross_entropy(z[None], y[None]))(logits(flat))
        jacobian = jax.jacrev(logits)(flat)
        return jacobian.T @ a @ jacobian

    return jax.vmap(of_one, in_axes=(None, 0, 0))


def dense(problem: Problem, ways: list[tuple[str, str]]) -> Callable[..., Any]:
    """The ways' values from the dense matrices of the single examples.

    `f(params, x, y, mask=1.0)`; a mask [n] has 1 for each parameter that H is taken in, else 0.
    """

    def values(params: Any, x: Any, y: Any, mask: Any = 1.0) -> Any:
        flat, found, examples = ravel_pytree(params)[0], [], len(x)
        taken = jnp.broadcast_to(mask, flat.shape)
        matrices = {
            c: of_single_examples(problem, c)(flat, x, y) * jnp.outer(taken, taken)
            for c in dict.fromkeys(c for c, _ in ways)
        }
        for curvature, target in ways:
            total = jnp.sum(jnp.sum(matrices[curvature], 0) ** 2)
            if target == "loss":
                total -= jnp.sum(matrices[curvature] ** 2)
            found.append(total / examples / (examples - (target == "loss")))
        return jnp.stack(found)

    return jax.jit(with_slopes(values))


def estimated(problem: Problem, ways: list[tuple[str, str]], **options: Any) -> Callable[..., Any]:
    """The ways' values by `pairs`: `f(params, x, y, key)`."""
    estimators = [
        penalty.pairs(problem.network, curvature=curvature, target=target, **options)
        for curvature, target in ways
    ]

    def values(params: Any, x: Any, y: Any, key: Any) -> Any:
        return jnp.stack([found(params, x, y, key=key) for found in estimators])

    return jax.jit(with_slopes(values))


def with_slopes(values: Callable[..., Any]) -> Callable[..., Any]:
    """`f(params, ...) -> [ways, 1 + n]`: each value, and its derivatives."""

    def both(params: Any, *batch: Any) -> Any:
        flat, unravel = ravel_pytree(params)
        found, back = jax.vjp(lambda p: values(unravel(p), *batch), flat)
        return jnp.column_stack([found, *jax.vmap(back)(jnp.eye(len(found), dtype=found.dtype))])

    return both


def assert_equal(found: Any, truth: Any) -> None:
    largest = np.abs(truth).max(initial=0)
    np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-10 * largest + 1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@given(data=st.data())
@settings(DRAWN, max_examples=3)
def test_without_sketches_pairs_are_dense(depth: int, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(TARGETS))
    problem = data.draw(
        st.builds(
            make,
            seed=st.integers(0, 2**32 - 1),
            width=st.integers(1, 4),
            hidden=st.lists(st.integers(1, 3), min_size=depth - 1, max_size=depth - 1),
            logits=st.sampled_from([1, 2, 3]),
            batch=st.integers(1 if target == "batch" else 2, 3),
            bias=st.booleans(),
            activation=st.sampled_from(sorted(PIECEWISE_LINEAR)),
            rows=st.sampled_from(["distinct", "repeated", "zero"]),
        )
    )
    ways, batch = [("hessian", target)], (problem.params, problem.x, problem.y)
    assert_equal(estimated(problem, ways, **EXACT)(*batch, KEY), dense(problem, ways)(*batch))


@pytest.fixture(scope="module")
def three_layers() -> tuple[Problem, Callable[..., Any], Callable[..., Any]]:
    """A network of three layers, with its compiled truth and estimates."""
    problem = make(seed=1, **THREE)
    return problem, dense(problem, WAYS), estimated(problem, WAYS, **EXACT)


@pytest.mark.parametrize("case", ["as drawn", "dead units", "saturated", "one class", "equal rows"])
def test_all_ways_on_extreme_batches(case: str, three_layers: Any) -> None:
    problem, truth, found = three_layers
    params, x, y = [dict(layer) for layer in problem.params], problem.x, problem.y
    if case == "dead units":
        params[0]["bias"] = params[0]["bias"].at[0].set(-100.0)
        params[1]["bias"] = params[1]["bias"].at[1].set(-100.0)
    if case == "saturated":
        params[2]["kernel"] = 40 * params[2]["kernel"]
    if case == "one class":
        y = jnp.zeros_like(y)
    if case == "equal rows":
        x = jnp.tile(x[:1], (len(x), 1))
    assert_equal(found(params, x, y, KEY), truth(params, x, y))


def test_gauss_newton_fits_a_curved_activation() -> None:
    problem = make(seed=2, **THREE | {"activation": "tanh", "logits": 1})
    ways = [("gauss_newton", target) for target in TARGETS]
    batch = problem.params, problem.x, problem.y
    assert_equal(estimated(problem, ways)(*batch, KEY), dense(problem, ways)(*batch))


def over_all_signs(function: Callable[[], Any], patch: pytest.MonkeyPatch) -> Any:
    """The mean of what a function of drawn signs returns, over all sign vectors."""
    counted = 0

    def count(_: Any, shape: Any, dtype: Any) -> Any:
        nonlocal counted
        counted += math.prod(shape)
        return jnp.ones(shape, dtype)

    patch.setattr(hutchinson, "signs", count)
    jax.eval_shape(function)

    def given_signs(vector: Any) -> Any:
        left = vector

        def take(_: Any, shape: Any, dtype: Any) -> Any:
            nonlocal left
            taken, left = jnp.split(left, [math.prod(shape)])
            return taken.reshape(shape).astype(dtype)

        patch.setattr(hutchinson, "signs", take)
        return function()

    assert 1 < counted < 13
    vectors = jnp.array(list(itertools.product([-1.0, 1.0], repeat=counted)))
    return jnp.mean(jax.jit(jax.vmap(given_signs))(vectors), axis=0)


@pytest.mark.parametrize(
    ("shape", "target", "probes"),
    [
        ({"hidden": [], "logits": 3, "batch": 2}, "batch", 2),
        ({"hidden": [2], "logits": 3, "batch": 1}, "batch", 2),
        ({"hidden": [2, 2], "logits": 1, "batch": 2}, "batch", 2),
        ({"hidden": [2, 2], "logits": 2, "batch": 2}, "loss", 1),
        ({"hidden": [1, 1, 2], "logits": 1, "batch": 2}, "batch", 2),
    ],
)
def test_the_mean_over_all_sketches_is_dense(
    shape: dict[str, Any], target: str, probes: int
) -> None:
    problem = make(seed=3, width=2, activation="leaky_relu", **shape)
    batch = problem.params, problem.x, problem.y
    estimator = penalty.pairs(problem.network, probes=probes, far=1, target=target)
    values = with_slopes(lambda p, x, y: estimator(p, x, y, key=KEY)[None])
    with pytest.MonkeyPatch.context() as patch:
        found = over_all_signs(lambda: values(*batch), patch)
    assert_equal(found, dense(problem, [("hessian", target)])(*batch))


def test_drawn_sketches_are_unbiased(three_layers: Any) -> None:
    """By the generator's own signs, of classes and of paths."""
    problem = make(seed=4, **THREE)
    batch = problem.params, problem.x, problem.y
    truth = dict(zip(WAYS, three_layers[1](*batch)[:, 0], strict=True))
    for target in TARGETS:
        expected = truth["hessian", target]
        found = penalty.pairs(problem.network, target=target)
        run = jax.jit(jax.vmap(lambda k, f=found: f(*batch, key=k)))
        drawn = np.asarray(run(jax.random.split(jax.random.key(7), 2000)))
        error = drawn.std(ddof=1) / np.sqrt(len(drawn))
        assert 0 < abs(drawn.mean() - expected) <= 4 * error


def test_single_precision_follows_double_over_six_orders_of_scale(three_layers: Any) -> None:
    """Inputs times 10^e, first kernel divided by it: the same function, with H scaled by 10^e."""
    problem, _, found = three_layers
    for exponent in range(-3, 4):
        scale = 10.0**exponent
        first = problem.params[0] | {"kernel": problem.params[0]["kernel"] / scale}
        params = [first, *problem.params[1:]]
        precise = found(params, problem.x * scale, problem.y, KEY)
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, problem.x * scale))
        rough = found(*single, problem.y, KEY)
        assert rough.dtype == jnp.float32
        for one, other in zip(rough, precise, strict=True):
            np.testing.assert_allclose(one[0], other[0], rtol=2e-4)
            largest = np.abs(other[1:]).max()
            np.testing.assert_allclose(one[1:], other[1:], rtol=2e-2, atol=2e-4 * largest)


def test_sparse_inputs_and_vmap_over_keys(three_layers: Any) -> None:
    problem, *_ = three_layers
    found = penalty.pairs(problem.network)
    keys = jax.random.split(KEY, 3)
    x = jnp.round(2 * problem.x)
    run = jax.jit(lambda x: jax.vmap(lambda k: found(problem.params, x, problem.y, key=k))(keys))
    assert_equal(run(BCOO.fromdense(x)), run(x))
    assert len(set(run(x).tolist())) == 3


def test_a_scan_of_steps_lowers_it(three_layers: Any) -> None:
    problem, *_ = three_layers
    step = penalty.value_and_grad(penalty.pairs(problem.network, target="loss"), interval=2)

    def run(params: Any, number: Any) -> Any:
        key = jax.random.fold_in(KEY, number)
        value, slope = step(params, problem.x, problem.y, key=key, weight=0.05, step=number)
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, slope), value

    _, values = jax.jit(lambda p: jax.lax.scan(run, p, jnp.arange(40)))(problem.params)
    assert values.applied.tolist() == [True, False] * 20
    assert np.all((values.tr_h2 != 0) == values.applied)
    assert values.tr_h2[38] < values.tr_h2[0]
