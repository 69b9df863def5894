"""The first layer of a Flax linen module, derived from the module itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from flatreg.penalty.errors import ModelError
from flatreg.penalty.first_layer import FirstLayer

Path = tuple[str, ...]


def first_layer(
    module: nn.Module, x: jax.Array, loss_of_logits: Callable[..., jax.Array], **arguments: Any
) -> FirstLayer:
    """Split a module in which exactly one `nn.Dense` acts on the input; the rest is any function.

    Args:
        module: called as `module(x, **arguments)`.
        x: inputs [B, d]; only their shape and type matter.
        loss_of_logits: mean task loss, `loss_of_logits(logits, *labels) -> []`.
        **arguments: keyword arguments of the module's call and of `apply`, such as `rngs`; they
            can be overridden in a call of the layer's loss.

    Raises:
        ModelError: there is no such layer, or several; the message names the module.
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


class _Call(NamedTuple):
    """A call of a Dense layer: its path, and whether its kernel is its own parameter."""

    path: Path
    bias: bool
    on_input: bool
    own_kernel: bool


def _find(module: nn.Module, x: jax.Array, arguments: dict[str, Any]) -> tuple[Path, bool]:
    """Path of the Dense layer that acts on the input, and whether it has a bias."""
    calls: list[_Call] = []
    keys = {"params": jax.random.key(0)} | (arguments.get("rngs") or {})
    rest = {name: value for name, value in arguments.items() if name != "rngs"}

    def run(variables: Any, x: jax.Array) -> Any:
        flat = flatten_dict(variables["params"])

        def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if _is_dense_call(context):
                dense = context.module
                acted_on = args[0] if args else kwargs["inputs"]
                kernel = dense.get_variable("params", "kernel")
                own = kernel is flat.get((*dense.path, "kernel"))
                calls.append(_Call(dense.path, dense.use_bias, acted_on is x, own))
            return call(*args, **kwargs)

        with nn.intercept_methods(note):
            return module.apply(variables, x, **arguments)

    variables = jax.eval_shape(lambda x: module.init(keys, x, **rest), x)
    jax.eval_shape(run, variables, x)
    on_input = [call for call in calls if call.on_input and call.own_kernel]
    if len(on_input) != 1 or [call.path for call in calls].count(on_input[0].path) != 1:
        raise ModelError(
            "module",
            f"{type(module).__name__}, with {len(on_input) or 'no'} plain nn.Dense on its input",
            "exactly one, called once (`gram`), or the estimator `autodiff`, which fits any model",
        )
    return on_input[0].path, on_input[0].bias


def _is_dense_call(context: Any) -> bool:
    """Whether this is a call of Flax's own Dense layer: a subclass may compute something else."""
    module = context.module
    plain = type(module) is nn.Dense and module.dot_general is module.dot_general_cls is None
    return plain and context.method_name == "__call__"
