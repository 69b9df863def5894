"""Sharding of a batch over several devices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO, JAXSparse
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flatreg.penalty.errors import BatchError
from flatreg.penalty.estimator import described, is_numeric


def shard_batch(mesh: Mesh, *batch: Any) -> tuple[Any, ...]:
    """Shard the examples of a batch evenly over the first axis of a mesh; jit does the rest.

    Args:
        mesh: from `jax.make_mesh`, with axes of type Auto, so that the compiler places what the
            estimators compute from all examples together.
        *batch: inputs and labels: arrays, examples along the first axis, or trees of them. A
            number, shape [], goes to every device. Of a sparse matrix (BCOO) the entries are
            sharded, whatever their rows, and zeros fill them up to a multiple of the devices.

    Raises:
        BatchError: the axis is of another type, the number of examples is not a multiple of its
            devices, or a part is no array.
    """
    axis = mesh.axis_names[0]
    if mesh.axis_types[0] is not AxisType.Auto:
        expected = "AxisType.Auto: jax.make_mesh(..., axis_types=(AxisType.Auto,))"
        raise BatchError(f"mesh axis {axis!r}", f"{mesh.axis_types[0]}", expected)

    for path, part in jax.tree.leaves_with_path(batch, is_leaf=_is_sparse):
        _check_part(f"batch{jax.tree_util.keystr(path)}", part, axis, mesh.shape[axis])
    return jax.tree.map(lambda part: _placed(part, mesh), batch, is_leaf=_is_sparse)


def _is_sparse(part: Any) -> bool:
    return isinstance(part, JAXSparse)


def _check_part(name: str, part: Any, axis: str, devices: int) -> None:
    if _is_sparse(part):
        if not isinstance(part, BCOO) or part.n_batch:
            expected = "a BCOO matrix without batch dimensions, or a dense one"
            raise BatchError(name, f"{type(part).__name__}{list(part.shape)}", expected)
    elif not is_numeric(part):
        raise BatchError(name, described(part), "an array, or a tree of arrays")
    elif jnp.ndim(part) and jnp.shape(part)[0] % devices:
        raise BatchError(
            name,
            f"{jnp.result_type(part)}{list(jnp.shape(part))}",
            f"a multiple of the {devices} devices of axis {axis!r} along the first axis",
        )


def _placed(part: Any, mesh: Mesh) -> Any:
    axis = mesh.axis_names[0]
    if isinstance(part, BCOO):
        part = _filled_up(part, mesh.shape[axis])
    spec = PartitionSpec(axis) if jnp.ndim(part) else PartitionSpec()
    return jax.device_put(part, NamedSharding(mesh, spec))


def _filled_up(matrix: BCOO, devices: int) -> BCOO:
    """The same matrix, stored as a multiple of `devices` entries."""
    missing = -matrix.nse % devices
    # JAX takes an index beyond the shape for one without an entry.
    beyond = jnp.broadcast_to(jnp.array(matrix.shape, matrix.indices.dtype), (missing, 2))
    return BCOO(
        (
            jnp.concatenate([matrix.data, jnp.zeros(missing, matrix.data.dtype)]),
            jnp.concatenate([matrix.indices, beyond]),
        ),
        shape=matrix.shape,
        indices_sorted=matrix.indices_sorted,
        unique_indices=matrix.unique_indices,
    )
