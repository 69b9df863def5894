"""Estimates that are exact: the mean over all sign vectors, in place of drawn probes."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flatreg import penalty

KEY = jax.random.key(0)


def over_all_signs(function: Any, like: Any, *_: Any, **__: Any) -> Any:
    """Replace `hutchinson.mean_over_probes`: each sign vector is drawn once."""
    flat, unravel = ravel_pytree(jax.tree.map(jnp.zeros_like, like))
    assert flat.size <= 12
    signs = jnp.array(list(itertools.product([-1.0, 1.0], repeat=flat.size)), flat.dtype)
    return jnp.mean(jax.vmap(lambda v: function(unravel(v)))(signs), axis=0)


def with_slope(function: Any) -> Any:
    """`f(params, *batch) -> [1 + n]`: the value and its derivatives, compiled."""

    def both(params: Any, *batch: Any) -> Any:
        value, slope = jax.value_and_grad(function)(params, *batch)
        return jnp.hstack([value, ravel_pytree(slope)[0]])

    return jax.jit(both)


def estimated(estimator: penalty.Estimator) -> Any:
    """The estimate and its derivatives: `f(params, x, *labels) -> [1 + n]`."""
    return with_slope(lambda params, *batch: estimator(params, *batch, key=KEY))


def assert_equal(found: Any, truth: Any) -> None:
    """Equal up to rounding in float64."""
    largest = np.abs(truth).max(initial=0)
    np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-10 * largest + 1e-14)
