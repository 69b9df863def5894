"""Measure models of the same network: side by side on a GPU, one after another on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Models that a GPU measures at a time, which bounds the memory that they take.
AT_A_TIME = 16


class Lane(NamedTuple):
    """A model to be measured; those of one call differ in values only.

    Attributes:
        params: its parameters.
        x: inputs [n, d].
        y: labels [n].
        key: of its probes and start vectors.
    """

    params: Any
    x: np.ndarray
    y: np.ndarray
    key: jax.Array


def at_a_time() -> int:
    """The number of models to measure in one call on the device of this process."""
    return 1 if jax.default_backend() == "cpu" else AT_A_TIME


def each(
    function: Callable[..., Any],
    static: tuple[Any, ...],
    arguments: Sequence[tuple[Any, ...]],
    *,
    at_a_time: int = AT_A_TIME,
) -> list[Any]:
    """`function(*static, *own)` for each `own` of the arguments, compiled once for all calls.

    Args:
        function: of a module, so that equal calls find its program.
        static: hashable.
        arguments: pytrees of arrays, alike in structure, shapes and types.
        at_a_time: of how many the intermediate results are in memory at a time.
    """
    if len(arguments) == 1:
        return [_alone(function, static, arguments[0])]
    return _together(function, static, at_a_time, tuple(arguments))


@partial(jax.jit, static_argnums=(0, 1))
def _alone(function: Callable[..., Any], static: tuple[Any, ...], own: tuple[Any, ...]) -> Any:
    return function(*static, *own)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _together(
    function: Callable[..., Any],
    static: tuple[Any, ...],
    at_a_time: int,
    arguments: tuple[tuple[Any, ...], ...],
) -> list[Any]:
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *arguments)
    results = jax.lax.map(lambda own: function(*static, *own), stacked, batch_size=at_a_time)
    leaves, structure = jax.tree.flatten(results)
    return [structure.unflatten(own) for own in zip(*leaves, strict=True)]
