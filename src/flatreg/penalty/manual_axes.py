"""Values that vary over the devices of `jax.shard_map`: which do, and what that means for H.

Under shard_map each value either varies over a mesh axis (each device has its own) or does not. A
loss that varies is a function of its device's own examples, and H is its Hessian; one that does
not, as after `pmean`, is a function of all devices' examples and parameters. Everything here
leaves values outside of shard_map, or under `check_vma=False`, as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

Axes = frozenset[str]


def varying_axes(tree: Any) -> Axes:
    """The mesh axes over which any leaf of a tree of arrays or their types varies."""
    return frozenset().union(*(_axes(leaf) for leaf in jax.tree.leaves(tree)))


def axes_of_loss(loss: Callable[[Any], Any], params: Any) -> Axes:
    """The mesh axes over which `loss(params)` varies; costs nothing outside of shard_map."""
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return frozenset()
    return varying_axes(jax.eval_shape(loss, params))


def vary(tree: Any, axes: Axes) -> Any:
    """The same values, each varying over these axes at least.

    A derivative in a value that does not vary is summed over the devices; one in its copy that
    varies is each device's own.
    """

    def cast(leaf: Any) -> Any:
        missing = tuple(sorted(axes - _axes(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(cast, tree)


def own_key(key: jax.Array, axes: Axes) -> jax.Array:
    """A key of each device's own, along these axes."""
    for axis in sorted(axes):
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))
    return key


def sum_over(value: jax.Array, axes: Axes) -> jax.Array:
    """The sum of a value over the devices along these axes."""
    return jax.lax.psum(value, tuple(sorted(axes))) if axes else value


def _axes(leaf: Any) -> Axes:
    kind = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jax.typeof(leaf)
    varying = getattr(kind, "manual_axis_type", None)
    # JAX before 0.10 names the axes themselves.
    return getattr(kind, "vma", None) or getattr(varying, "varying", None) or frozenset()
