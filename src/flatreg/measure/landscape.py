"""Evaluate a function of parameters along lines and on planes.

References:
    H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein. Visualizing the loss landscape of neural
    nets. NeurIPS 2018. arXiv:1712.09913.
    I. J. Goodfellow, O. Vinyals, A. M. Saxe. Qualitatively characterizing neural network
    optimization problems. ICLR 2015. arXiv:1412.6544.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Params = Any


def random_direction(params: Params, key: jax.Array) -> Params:
    """A direction with independent standard normal entries, in the shapes of `params`."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten(
        [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    )


def filter_normalize(direction: Params, params: Params) -> Params:
    """Scale each filter of a direction to the norm of the parameters' filter (Li et al. 2018).

    A filter of a dense kernel [inputs, units] is the column of weights into one unit. Biases have
    direction 0, as in the authors' code.
    """

    def scale(d: jax.Array, p: jax.Array) -> jax.Array:
        if p.ndim < 2:
            return jnp.zeros_like(d)
        axes = tuple(range(p.ndim - 1))
        lengths = jnp.linalg.norm(d, axis=axes, keepdims=True)
        return d / lengths * jnp.linalg.norm(p, axis=axes, keepdims=True)

    return jax.tree.map(scale, direction, params)


def along_line(
    function: Callable[[Params], Any], start: Params, end: Params, alphas: jax.Array
) -> Any:
    """`function` at (1 - alpha) start + alpha end for each alpha [n]."""

    def at(alpha: jax.Array) -> Any:
        return function(jax.tree.map(lambda a, b: (1 - alpha) * a + alpha * b, start, end))

    return jax.lax.map(at, alphas)


def on_plane(
    function: Callable[[Params], Any],
    center: Params,
    first: Params,
    second: Params,
    coordinates: jax.Array,
) -> Any:
    """`function` at center + x first + y second, with x and y each from coordinates [n].

    Returns:
        Values [n, n], y along the first axis.
    """

    def at(x: jax.Array, y: jax.Array) -> Any:
        return function(jax.tree.map(lambda c, d, e: c + x * d + y * e, center, first, second))

    return jax.lax.map(lambda y: jax.lax.map(lambda x: at(x, y), coordinates), coordinates)
