"""Hutchinson's estimates of traces of symmetric matrices, given by their products.

With E v = 0 and E v v^T = I, E v.S v = tr(S) for any S. So

    E ||A v||^2 = tr(A^2),    E v.(A v) = tr(A),    E (A v).(B v) = tr(A B)

for symmetric A and B. With S = A^2, S = A or S = (A B + B A) / 2, one probe has variance
2 (||S||_F^2 - sum_i S_ii^2) if it is Rademacher, and 2 ||S||_F^2 if it is normal.

References:
    M. F. Hutchinson. A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines. Communications in Statistics: Simulation and Computation 19(2), 1990.
    doi:10.1080/03610919008812866.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty.errors import ProbeError
from flatreg.penalty.estimator import is_count
from flatreg.penalty.manual_axes import Axes, own_key, sum_over, varying_axes

# A program with more probes has a loop over them: otherwise it would take minutes to compile.
UNROLLED = 5


def trace_of_square(
    product: Callable[[Any], Any],
    like: Any,
    key: jax.Array,
    *,
    probes: int,
    distribution: str,
    axes: Axes = frozenset(),
) -> jax.Array:
    """Mean of ||A v||^2 over the probes v.

    Args:
        product: the map v -> A v.
        like: a tree with the structure, shapes and types of v.
        key: random key for the probes.
        probes: number of probes.
        distribution: distribution of their entries.
        axes: of `jax.shard_map`, over which the function of A varies.
    """
    return mean_over_probes(
        lambda v: sum(squared_norms(product(v), axes)),
        like,
        key,
        probes=probes,
        distribution=distribution,
    )


def mean_over_probes(
    function: Callable[[Any], jax.Array],
    like: Any,
    key: jax.Array,
    *,
    probes: int,
    distribution: str,
) -> jax.Array:
    """Mean of function(v), an array, over the probes v; the arguments are as above."""

    def of_probe(key: jax.Array) -> jax.Array:
        return function(draw(like, key, distribution))

    keys = jax.random.split(key, probes)
    if probes <= UNROLLED:
        total = sum([of_probe(key) for key in keys])
    else:
        total = jnp.sum(jax.lax.map(of_probe, keys), axis=0)
    return total / probes


def squared_norms(tree: Any, axes: Axes) -> list[jax.Array]:
    """||v||^2 of each leaf v.

    Where a leaf varies over more devices than those along `axes`, each device has a part of it.
    """
    return [sum_over(jnp.sum(leaf**2), varying_axes(leaf) - axes) for leaf in jax.tree.leaves(tree)]


def dot(one: Any, other: Any, axes: Axes) -> jax.Array:
    """The product u.v of two trees of one structure; `axes` is as in `squared_norms`."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return sum(sum_over(jnp.sum(u * v), varying_axes((u, v)) - axes) for u, v in pairs)


Draw = Callable[[jax.Array, tuple[int, ...], Any], jax.Array]
_WORD = 32


def signs(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Rademacher entries, 32 per random word: drawing words costs more than arithmetic."""
    size = 1
    for length in shape:
        size *= length
    words = jax.random.bits(key, (-(-size // _WORD), 1), jnp.uint32)
    bits = (words >> jnp.arange(_WORD, dtype=jnp.uint32)[None]) & 1
    return (1 - 2 * bits.reshape(-1)[:size].astype(jnp.int8)).astype(dtype).reshape(shape)


DISTRIBUTIONS: dict[str, Draw] = {"rademacher": signs, "normal": jax.random.normal}


def draw(tree: Any, key: jax.Array, distribution: str) -> Any:
    """Draw one probe with the structure, shapes and types of `tree`.

    Where a leaf varies over the devices of `jax.shard_map`, each device draws its own entries.
    """
    leaves, structure = jax.tree.flatten(tree)
    entries = DISTRIBUTIONS[distribution]
    keys = jax.random.split(key, len(leaves))
    probes = [
        entries(own_key(k, varying_axes(leaf)), jnp.shape(leaf), jnp.result_type(leaf))
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return structure.unflatten(probes)


def check_probes(probes: int, distribution: str) -> None:
    """Check the number and distribution of probes.

    Raises:
        ProbeError: fewer than one probe, or an unknown distribution.
    """
    if not is_count(probes):
        raise ProbeError("probes", repr(probes), "a whole number of at least 1")
    if distribution not in DISTRIBUTIONS:
        raise ProbeError("distribution", repr(distribution), f"one of {', '.join(DISTRIBUTIONS)}")
