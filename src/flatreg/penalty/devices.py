"""Sharding of a batch over several devices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flatreg.penalty.errors import BatchError


def shard_batch(mesh: Mesh, *batch: Any) -> tuple[Any, ...]:
    """Shard the examples of a batch evenly over the first axis of a mesh; jit does the rest.

    Args:
        mesh: from `jax.make_mesh`, with axes of type Auto, so that the compiler places what the
            estimators compute from all examples together.
        *batch: inputs and labels, examples along the first axis.

    Raises:
        BatchError: the axis is of another type, or the number of examples is not a multiple of
            its devices.
    """
    axis = mesh.axis_names[0]
    if mesh.axis_types[0] is not AxisType.Auto:
        expected = "AxisType.Auto: jax.make_mesh(..., axis_types=(AxisType.Auto,))"
        raise BatchError(f"mesh axis {axis!r}", f"{mesh.axis_types[0]}", expected)
    devices = mesh.shape[axis]
    for index, part in enumerate(batch):
        if jnp.shape(part)[0] % devices:
            raise BatchError(
                f"batch[{index}]",
                f"{jnp.result_type(part)}{list(jnp.shape(part))}",
                f"a multiple of the {devices} devices of axis {axis!r} along the first axis",
            )
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(axis)))
