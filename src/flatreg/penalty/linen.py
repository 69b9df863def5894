"""The first layer of a Flax linen module, derived from the module itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from flatreg.penalty.errors import ModelError
from flatreg.penalty.first_layer import FirstLayer

Path = tuple[str, ...]


def first_layer(
    module: nn.Module, x: jax.Array, loss_of_logits: Callable[..., jax.Array], **arguments: Any
) -> FirstLayer:
    """Split a module of which one `nn.Dense` acts on the input itself; the rest is any function.

    Args:
        module: called as `module(x, **arguments)`.
        x: inputs [B, d]; only their shape and type count.
        loss_of_logits: mean task loss, `loss_of_logits(logits, *labels) -> []`.
        **arguments: of the module's call, and what `apply` takes beside them, such as `rngs`;
            the layer's loss takes others in their place.

    Raises:
        ModelError: no such layer, or several; names the module and what would fit.
    """
    path, bias = _find(module, x, arguments)

    def split(params: Any) -> tuple[jax.Array, jax.Array | None, Any]:
        flat = flatten_dict(params)
        rest = {where: leaf for where, leaf in flat.items() if where[:-1] != path}
        return flat[*path, "kernel"], flat[*path, "bias"] if bias else None, unflatten_dict(rest)

    def loss(zeta: tuple[jax.Array, Any], x: jax.Array, *labels: Any, **others: Any) -> jax.Array:
        z, rest = zeta

        def leave_out(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if _is_dense_call(context) and context.module.path == path:
                return z
            return call(*args, **kwargs)

        with nn.intercept_methods(leave_out):
            logits = module.apply({"params": rest}, x, **arguments | others)
        return loss_of_logits(logits, *labels)

    return FirstLayer(split, loss, bias)


def _find(module: nn.Module, x: jax.Array, arguments: dict[str, Any]) -> tuple[Path, bool]:
    """Path of the Dense that acts on the input, and whether it has a bias."""
    calls: list[tuple[Path, bool, bool]] = []

    def run(x: jax.Array) -> Any:
        def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if _is_dense_call(context):
                dense = context.module
                calls.append((dense.path, dense.use_bias, args[0] is x))
            return call(*args, **kwargs)

        with nn.intercept_methods(note):
            return module.init(jax.random.key(0), x, **arguments)

    jax.eval_shape(run, x)
    on_input = [(path, bias) for path, bias, is_input in calls if is_input]
    if len(on_input) != 1 or [path for path, *_ in calls].count(on_input[0][0]) != 1:
        raise ModelError(
            "module",
            f"{type(module).__name__}, with {len(on_input) or 'no'} nn.Dense on the input itself",
            "exactly one, called once (`gram`), or the estimator `autodiff`, which fits any model",
        )
    return on_input[0]


def _is_dense_call(context: Any) -> bool:
    return isinstance(context.module, nn.Dense) and context.method_name == "__call__"
