"""Random probe vectors: independent entries, mean 0, variance 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty.errors import ProbeError
from flatreg.penalty.estimator import is_count

Draw = Callable[[jax.Array, tuple[int, ...], Any], jax.Array]

_WORD = 32


def signs(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Rademacher entries, 32 from each random word: words cost more than arithmetic."""
    size = 1
    for length in shape:
        size *= length
    words = jax.random.bits(key, (-(-size // _WORD), 1), jnp.uint32)
    bits = (words >> jnp.arange(_WORD, dtype=jnp.uint32)) & 1
    return (1 - 2 * bits.reshape(-1)[:size].astype(jnp.int8)).astype(dtype).reshape(shape)


DISTRIBUTIONS: dict[str, Draw] = {"rademacher": signs, "normal": jax.random.normal}


def draw(tree: Any, key: jax.Array, distribution: str) -> Any:
    """One probe with the structure, shapes and types of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    entries = DISTRIBUTIONS[distribution]
    keys = jax.random.split(key, len(leaves))
    probes = [
        entries(k, jnp.shape(leaf), jnp.result_type(leaf))
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return structure.unflatten(probes)


def check(probes: int, distribution: str) -> None:
    """Check what the estimators are told of their probes.

    Raises:
        ProbeError: fewer than one, or an unknown distribution.
    """
    if not is_count(probes):
        raise ProbeError("probes", repr(probes), "a whole number of at least 1")
    if distribution not in DISTRIBUTIONS:
        raise ProbeError("distribution", repr(distribution), f"one of {', '.join(DISTRIBUTIONS)}")
