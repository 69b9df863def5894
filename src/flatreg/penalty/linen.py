"""The first layer of a Flax linen module, derived from the module itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax.errors import FlaxError
from flax.traverse_util import flatten_dict, unflatten_dict

from flatreg.penalty.errors import ModelError
from flatreg.penalty.first_layer import FirstLayer

Path = tuple[str, ...]


def first_layer(
    module: nn.Module,
    x: jax.Array,
    loss_of_logits: Callable[..., jax.Array],
    *,
    variables: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> FirstLayer:
    """Split a module in which exactly one `nn.Dense` acts on the input; the rest is any function.

    Args:
        module: called as `module(x, **arguments)`.
        x: inputs [B, d]; only their shape and type matter.
        loss_of_logits: mean task loss, `loss_of_logits(logits, *labels) -> []`.
        variables: the module's collections other than "params", such as `{"batch_stats": ...}`.
        **arguments: keyword arguments of the module's call and of `apply`, such as `rngs`. They
            and `variables` can be overridden in a call of the layer's loss; one that is given
            `mutable` returns `(loss, variables)`, as `apply` does.

    Raises:
        ModelError: there is no such layer, or several, or its kernel is used elsewhere too, or
            collections are missing; the message names the module.
    """
    params = _shapes(module, x, arguments)
    path, bias = _find(module, x, {**(variables or {}), "params": params}, arguments)

    def split(params: Any) -> tuple[jax.Array, jax.Array | None, Any]:
        flat = flatten_dict(params)
        if (*path, "kernel") not in flat:
            found = f"without {'/'.join((*path, 'kernel'))}, with {', '.join(params)}"
            raise ModelError("params", found, f"variables['params'] of {type(module).__name__}")
        rest = {where: leaf for where, leaf in flat.items() if where[:-1] != path}
        kernel, shift = (nn.meta.unbox(flat.get((*path, name))) for name in ("kernel", "bias"))
        return kernel, shift if bias else None, unflatten_dict(rest)

    def apply(zeta: tuple[jax.Array, Any], x: jax.Array, others: dict[str, Any]) -> Any:
        z, rest = zeta
        call_with = {"variables": variables or {}} | arguments | others

        def leave_out(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if _is_dense_call(context) and context.module.path == path:
                return z if context.module.dtype is None else z.astype(context.module.dtype)
            return call(*args, **kwargs)

        with nn.intercept_methods(leave_out):
            return module.apply({**call_with.pop("variables"), "params": rest}, x, **call_with)

    def loss(zeta: tuple[jax.Array, Any], x: jax.Array, *labels: Any, **others: Any) -> Any:
        found = apply(zeta, x, others)
        if not (arguments | others).get("mutable"):
            return loss_of_logits(found, *labels)
        logits, changed = found
        value = loss_of_logits(logits, *labels)
        return (value, changed) if others.get("mutable") else value

    layer = FirstLayer(split, loss, bias)
    try:
        jax.eval_shape(lambda params, x: apply(layer.enter(params, x), x, {}), params, x)
    except (FlaxError, KeyError) as error:
        found = f"{type(module).__name__}, which uses the kernel of its first layer elsewhere too"
        raise ModelError("module", found, _FITTING) from error
    return layer


_FITTING = "exactly one, called once (`gram`), or the estimator `autodiff`, which fits any model"


def _shapes(module: nn.Module, x: jax.Array, arguments: dict[str, Any]) -> Any:
    """Shapes and types of the module's parameters."""
    keys = {"params": jax.random.key(0)} | (arguments.get("rngs") or {})
    of_call = {name: value for name, value in arguments.items() if name not in ("rngs", "mutable")}
    return jax.eval_shape(lambda x: module.init(keys, x, **of_call), x)["params"]


class _Call(NamedTuple):
    """A call of a Dense layer: its path, and whether its kernel is its own parameter."""

    path: Path
    bias: bool
    on_input: bool
    own_kernel: bool


def _find(
    module: nn.Module, x: jax.Array, variables: Any, arguments: dict[str, Any]
) -> tuple[Path, bool]:
    """Path of the Dense layer that acts on the input, and whether it has a bias."""
    calls: list[_Call] = []

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

    try:
        jax.eval_shape(run, variables, x)
    except FlaxError as error:
        found = f"{type(module).__name__}, which does not run with {', '.join(variables)} alone"
        expected = "its other collections: first_layer(..., variables={'batch_stats': ...})"
        raise ModelError("module", found, expected) from error
    on_input = [call for call in calls if call.on_input and call.own_kernel]
    if len(on_input) != 1 or [call.path for call in calls].count(on_input[0].path) != 1:
        raise ModelError(
            "module",
            f"{type(module).__name__}, with {len(on_input) or 'no'} plain nn.Dense on its input",
            _FITTING,
        )
    return on_input[0].path, on_input[0].bias


def _is_dense_call(context: Any) -> bool:
    """Whether this is a call of Flax's own Dense layer: a subclass may compute something else."""
    module = context.module
    plain = type(module) is nn.Dense and module.dot_general is module.dot_general_cls is None
    return plain and context.method_name == "__call__"
