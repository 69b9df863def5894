"""Every estimator against a dense float64 Hessian and the derivative of its squared norm."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jax.flatten_util import ravel_pytree

from flatreg.penalty import hutchinson

from .problems import DRAWN, SHAPES, Problem, make, problems, value_and_gradient

pytestmark = pytest.mark.usefixtures("double_precision")


def size(problem: Problem) -> int:
    return ravel_pytree(problem.params)[0].size


def over_all_signs(product: Any, like: Any, *_: Any, **__: Any) -> Any:
    """Replace `hutchinson.trace_of_square`: with each sign vector once, the estimate is exact."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    flat, unravel = ravel_pytree(zeros)
    signs = jnp.array(list(itertools.product([-1.0, 1.0], repeat=flat.size)))
    return jnp.mean(jax.vmap(lambda v: jnp.sum(ravel_pytree(product(unravel(v)))[0] ** 2))(signs))


def truth_and_estimates(problem: Problem, names: list[str], key: int, **settings: Any) -> Any:
    """Value and gradient [n] of the dense Hessian and of each estimator.

    As one program: to compile several takes most of the time of these tests.
    """
    estimators = problem.estimators(**settings)

    def all_of_them(params: Any) -> Any:
        def estimate(params: Any, name: str) -> Any:
            return estimators[name](params, problem.x, problem.y, key=jax.random.key(key))

        truth = jax.value_and_grad(problem.tr_h2)(params)
        return [truth, *(jax.value_and_grad(estimate)(params, name) for name in names)]

    found = jax.jit(all_of_them)(problem.params)
    return [(value, np.asarray(ravel_pytree(gradient)[0])) for value, gradient in found]


def assert_dense(problem: Problem, *names: str) -> None:
    """Values and gradients equal those of the dense Hessian, up to rounding."""
    (true_value, true_gradient), *found = truth_and_estimates(problem, [*names], key=0)
    scale = np.abs(true_gradient).max(initial=0)
    allowed = {"rtol": 1e-9, "atol": 1e-10 * scale + 1e-14}
    for name, (value, gradient) in zip(names, found, strict=True):
        np.testing.assert_allclose(value, true_value, rtol=1e-10, atol=1e-14, err_msg=name)
        np.testing.assert_allclose(gradient, true_gradient, **allowed, err_msg=name)


@given(problem=problems().filter(lambda p: size(p) <= 10))
@DRAWN
def test_the_mean_over_all_sign_vectors_is_dense(problem: Problem) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hutchinson, "trace_of_square", over_all_signs)
        assert_dense(problem, "autodiff", "gram")


@given(problem=problems(max_hidden=0, max_width=8))
@DRAWN
def test_exact_is_dense(problem: Problem) -> None:
    assert_dense(problem, "exact")


@given(problem=problems(max_hidden=2))
@DRAWN
def test_a_gradient_is_there_wherever_the_dense_one_is(problem: Problem) -> None:
    names, settings = ["autodiff", "gram"], {"probes": 1, "distribution": "normal"}
    (_, truth), *found = truth_and_estimates(problem, names, key=3, **settings)
    there = np.abs(truth) > 1e-9 * np.abs(truth).max(initial=0)
    for name, (_, gradient) in zip(names, found, strict=True):
        assert np.all(gradient[there] != 0), name


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        *itertools.product(
            ["softmax", "wide inputs", "many examples", "no biases"], ["autodiff", "gram"]
        ),
        ("softmax", "exact"),
    ],
)
def test_single_precision_follows_double_over_six_orders_of_scale(shape: str, name: str) -> None:
    """Inputs times 10^e, first kernel divided by it: the same function, with H scaled by 10^e."""
    problem = make(seed=5, **SHAPES[shape])
    estimator = problem.estimators()[name]
    run = jax.jit(jax.value_and_grad(lambda p, x: estimator(p, x, problem.y, key=None)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hutchinson, "trace_of_square", over_basis)
        for exponent in range(-3, 4):
            scale = 10.0**exponent
            first = problem.params[0] | {"kernel": problem.params[0]["kernel"] / scale}
            double = [first, *problem.params[1:]], problem.x * scale
            single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), double)
            (precise, precise_slope), (rough, rough_slope) = run(*double), run(*single)
            assert rough.dtype == jnp.float32
            np.testing.assert_allclose(rough, precise, rtol=2e-3)
            precise_slope, rough_slope = (
                ravel_pytree(slope)[0] for slope in (precise_slope, rough_slope)
            )
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
