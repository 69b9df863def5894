"""Every estimator against a dense float64 Hessian and the derivative of its squared norm."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from flatreg.penalty import hutchinson

from .problems import Problem, make, problems, value_and_gradient

SAMPLES = 4000
# Each drawn problem is compiled, so that to shrink one that fails would take minutes.
DRAWN = settings(
    max_examples=20, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)

# Shapes that the random drawing of the estimators' spread is shown on.
SHAPES = {
    "one logit": {"width": 3, "hidden": [], "logits": 1, "batch": 4},
    "softmax": {"width": 3, "hidden": [], "logits": 4, "batch": 6},
    "wide inputs": {"width": 9, "hidden": [3], "logits": 3, "batch": 4},
    "many examples": {"width": 2, "hidden": [3], "logits": 1, "batch": 8},
    "two hidden layers": {"width": 5, "hidden": [3, 2], "logits": 2, "batch": 3},
    "no biases": {"width": 6, "hidden": [3], "logits": 3, "batch": 4, "bias": False},
    "ReLU": {"width": 6, "hidden": [4], "logits": 3, "batch": 4, "activation": "relu"},
    "a batch of one": {"width": 4, "hidden": [2], "logits": 3, "batch": 1},
    "equal rows": {"width": 6, "hidden": [2], "logits": 2, "batch": 4, "rows": "repeated"},
}


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    """Compute in float64, without optimization of programs that run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


def size(problem: Problem) -> int:
    return ravel_pytree(problem.params)[0].size


def over_all_signs(product: Any, like: Any, *_: Any, **__: Any) -> Any:
    """Replace `hutchinson.trace_of_square`: with each sign vector once, the estimate is exact."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    flat, unravel = ravel_pytree(zeros)
    signs = jnp.array(list(itertools.product([-1.0, 1.0], repeat=flat.size)))
    return jnp.mean(jax.vmap(lambda v: jnp.sum(ravel_pytree(product(unravel(v)))[0] ** 2))(signs))


def assert_dense(problem: Problem, name: str) -> None:
    """Value and gradient equal those of the dense Hessian, up to rounding."""
    true_value, true_gradient = problem.truth()
    value, gradient = value_and_gradient(problem.estimators()[name], problem, jax.random.key(0))
    scale = np.abs(true_gradient).max(initial=0)
    np.testing.assert_allclose(value, true_value, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(gradient, true_gradient, rtol=1e-9, atol=1e-10 * scale + 1e-14)


@pytest.mark.parametrize("name", ["autodiff", "gram"])
@given(problem=problems().filter(lambda p: size(p) <= 10))
@DRAWN
def test_the_mean_over_all_sign_vectors_is_dense(name: str, problem: Problem) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hutchinson, "trace_of_square", over_all_signs)
        assert_dense(problem, name)


@given(problem=problems(max_hidden=0, max_width=8))
@DRAWN
def test_exact_is_dense(problem: Problem) -> None:
    assert_dense(problem, "exact")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
@pytest.mark.parametrize("name", ["autodiff", "gram"])
def test_value_and_gradient_are_unbiased(name: str, shape: str, distribution: str) -> None:
    problem = make(seed=1, **SHAPES[shape])
    estimator = problem.estimators(probes=1, distribution=distribution)[name]
    sample = jax.jit(jax.vmap(lambda key: jnp.hstack(value_and_gradient(estimator, problem, key))))
    drawn = np.asarray(sample(jax.random.split(jax.random.key(7), SAMPLES)))
    truth = np.hstack(problem.truth())
    stderr = drawn.std(axis=0, ddof=1) / np.sqrt(SAMPLES)
    # 4 standard errors, and rounding if the estimate has no spread.
    allowed = 4 * stderr + 1e-10 * np.abs(truth).max()
    assert np.all(np.abs(drawn.mean(axis=0) - truth) <= allowed)


@pytest.mark.parametrize("name", ["autodiff", "gram"])
@given(problem=problems(max_hidden=2))
@DRAWN
def test_a_gradient_is_there_wherever_the_dense_one_is(name: str, problem: Problem) -> None:
    _, truth = problem.truth()
    estimator = problem.estimators(probes=1, distribution="normal")[name]
    _, gradient = value_and_gradient(estimator, problem, jax.random.key(3))
    there = np.abs(truth) > 1e-9 * np.abs(truth).max(initial=0)
    assert np.all(np.asarray(gradient)[there] != 0)


@pytest.mark.parametrize("shape", ["softmax", "wide inputs", "many examples", "no biases"])
@pytest.mark.parametrize("name", ["autodiff", "gram"])
@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_spread_is_the_theory_s(name: str, shape: str, distribution: str) -> None:
    problem = make(seed=2, **SHAPES[shape])
    matrix = probed_matrix(problem, name)
    squared = matrix @ matrix
    theory = 2 * np.sum(squared**2)
    if distribution == "rademacher":
        theory -= 2 * np.sum(np.diag(squared) ** 2)
    estimator = problem.estimators(probes=1, distribution=distribution)[name]
    draw = jax.jit(jax.vmap(lambda k: estimator(problem.params, problem.x, problem.y, key=k)))
    drawn = np.asarray(draw(jax.random.split(jax.random.key(3), 5 * SAMPLES)))
    # The standard error of a sample variance follows from the fourth central moment.
    centred = drawn - drawn.mean()
    error = np.sqrt((np.mean(centred**4) - drawn.var() ** 2) / drawn.size)
    assert abs(drawn.var(ddof=1) - theory) <= 4 * error


def probed_matrix(problem: Problem, name: str) -> np.ndarray:
    """The matrix A that multiplies the probes: H, or F^T H_zeta F by its definition."""
    flat, unravel = ravel_pytree(problem.params)
    if name == "autodiff":
        loss = lambda p: problem.loss(unravel(p), problem.x, problem.y)  # noqa: E731
        return np.asarray(jax.hessian(loss)(flat))
    zeta = problem.layer.enter(problem.params, problem.x)
    flat, unravel = ravel_pytree(zeta)
    inner = np.asarray(
        jax.hessian(lambda p: problem.layer.loss(unravel(p), problem.x, problem.y))(flat)
    )
    x = np.asarray(problem.x)
    if problem.layer.bias:
        x = np.hstack([x, np.ones((len(x), 1))])
    first = x if x.shape[1] <= len(x) else np.linalg.cholesky(x @ x.T)
    hidden = zeta[0].shape[1]
    rest = flat.size - zeta[0].size
    factor = np.block(
        [
            [np.kron(first, np.eye(hidden)), np.zeros((zeta[0].size, rest))],
            [np.zeros((rest, first.shape[1] * hidden)), np.eye(rest)],
        ]
    )
    return factor.T @ inner @ factor


@pytest.mark.parametrize("name", ["autodiff", "gram"])
def test_probes_are_averaged(name: str) -> None:
    """An estimate from M probes has the mean of one probe, and 1 / M of its variance."""
    problem = make(seed=4, **SHAPES["wide inputs"])

    def draw(probes: int) -> np.ndarray:
        estimator = problem.estimators(probes=probes)[name]
        sample = jax.jit(jax.vmap(lambda k: estimator(problem.params, problem.x, problem.y, key=k)))
        return np.asarray(sample(jax.random.split(jax.random.key(probes), SAMPLES)))

    one, five = draw(1), draw(5)
    error = np.hypot(one.std(), five.std()) / np.sqrt(SAMPLES)
    assert abs(one.mean() - five.mean()) <= 4 * error
    assert one.var() / five.var() == pytest.approx(5, rel=0.25)


@given(
    exponent=st.integers(-3, 3),
    shape=st.sampled_from(["softmax", "wide inputs", "many examples", "no biases"]),
    name=st.sampled_from(["autodiff", "gram", "exact"]),
)
@DRAWN
def test_single_precision_follows_double_over_six_orders_of_scale(
    exponent: int, shape: str, name: str
) -> None:
    """Inputs times 10^e, first kernel divided by it: the same function, with H scaled by 10^e."""
    problem = make(seed=5, **SHAPES[shape])
    if name not in problem.estimators():
        return
    scale = 10.0**exponent
    kernel = problem.params[0]["kernel"] / scale
    params = [problem.params[0] | {"kernel": kernel}, *problem.params[1:]]
    double = problem._replace(params=params, x=problem.x * scale)
    single = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32), double._replace(y=None, activation=None)
    )._replace(y=problem.y, activation=problem.activation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hutchinson, "trace_of_square", over_basis)
        precise, precise_slope = value_and_gradient(double.estimators()[name], double, None)
        rough, rough_slope = value_and_gradient(single.estimators()[name], single, None)
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, precise, rtol=2e-3)
    largest = np.abs(precise_slope).max()
    np.testing.assert_allclose(rough_slope, precise_slope, rtol=2e-2, atol=2e-3 * largest)


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("bias", [True, False])
def test_gram_is_dense_beside_one_long_row(scale: float, bias: bool) -> None:
    """In single precision, with a well classified row: all curvature is in the short ones."""
    problem = make(seed=6, width=12, hidden=[], logits=3, batch=8, bias=bias, rows="zero")
    x = problem.x.at[0].multiply(scale)
    y = problem.y.at[0].set(jnp.argmax(x[0] @ problem.params[0]["kernel"]))
    double = problem._replace(x=x, y=y)
    value, slope = double.truth()
    params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (problem.params, x))
    single = double._replace(params=params, x=x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hutchinson, "trace_of_square", over_basis)
        found, found_slope = value_and_gradient(single.estimators()["gram"], single, None)
    np.testing.assert_allclose(found, value, rtol=1e-3)
    largest = np.abs(slope).max()
    np.testing.assert_allclose(found_slope, slope, rtol=2e-2, atol=2e-3 * largest)


def over_basis(product: Any, like: Any, *_: Any, **__: Any) -> Any:
    """tr(A^2) from the columns of A, without randomness."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    flat, unravel = ravel_pytree(zeros)
    columns = jax.vmap(lambda v: ravel_pytree(product(unravel(v)))[0])(
        jnp.eye(flat.size, dtype=flat.dtype)
    )
    return jnp.sum(columns**2)
