"""Random estimates: their mean is the dense Hessian's value, their variance the theory's."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from .problems import SHAPES, make, value_and_gradient

pytestmark = pytest.mark.usefixtures("double_precision")

SAMPLES = 4000


@cache
def truth(shape: str) -> np.ndarray:
    """The dense value and gradient [1 + n], compiled once for all estimators of a shape."""
    return np.hstack(make(seed=1, **SHAPES[shape]).truth())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
@pytest.mark.parametrize("name", ["autodiff", "gram"])
def test_value_and_gradient_are_unbiased(name: str, shape: str, distribution: str) -> None:
    problem = make(seed=1, **SHAPES[shape])
    estimator = problem.estimators(probes=1, distribution=distribution)[name]
    sample = jax.jit(jax.vmap(lambda key: jnp.hstack(value_and_gradient(estimator, problem, key))))
    drawn = np.asarray(sample(jax.random.split(jax.random.key(7), SAMPLES)))
    expected = truth(shape)
    stderr = drawn.std(axis=0, ddof=1) / np.sqrt(SAMPLES)
    # 4 standard errors, and rounding if the estimate has no spread.
    allowed = 4 * stderr + 1e-10 * np.abs(expected).max()
    assert np.all(np.abs(drawn.mean(axis=0) - expected) <= allowed)


@pytest.mark.parametrize("shape", ["softmax", "wide inputs", "many examples", "no biases"])
@pytest.mark.parametrize("name", ["autodiff", "gram"])
@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_spread_is_the_theory_s(name: str, shape: str, distribution: str) -> None:
    problem = make(seed=2, **SHAPES[shape])
    matrix = probed_matrix(shape, name)
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


@cache
def probed_matrix(shape: str, name: str) -> np.ndarray:
    """The matrix A that multiplies the probes: H, or F^T H_zeta F by its definition."""
    problem = make(seed=2, **SHAPES[shape])
    flat, unravel = ravel_pytree(problem.params)
    if name == "autodiff":
        loss = lambda p: problem.loss(unravel(p), problem.x, problem.y)  # noqa: E731
        return np.asarray(jax.jit(jax.hessian(loss))(flat))
    zeta = problem.layer.enter(problem.params, problem.x)
    flat, unravel = ravel_pytree(zeta)
    loss = lambda p: problem.layer.loss(unravel(p), problem.x, problem.y)  # noqa: E731
    inner = np.asarray(jax.jit(jax.hessian(loss))(flat))
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
