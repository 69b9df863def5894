"""The first layer of a Flax linen module, or all its dense layers, derived from the module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
from flax.errors import FlaxError
from flax.traverse_util import flatten_dict, unflatten_dict

from flatreg.penalty.activations import Activation
from flatreg.penalty.calls import (
    Call,
    Kind,
    activations,
    check_chain,
    only_on_input,
    refuse_second_use,
)
from flatreg.penalty.dense_layers import Coordinates, DenseLayers, Layer
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
    _check_module(module)
    params = _variables(module, x, arguments)["params"]
    calls = _dense_calls(module, x, {**(variables or {}), "params": params}, arguments)
    first = only_on_input(_kind(module), calls)
    path = _place(first)

    def split(params: Any) -> tuple[jax.Array, jax.Array | None, Any]:
        flat = flatten_dict(params)
        _check_kernels(module, [path], flat)
        rest = {where: leaf for where, leaf in flat.items() if where[:-1] != path}
        kernel, shift = (nn.meta.unbox(flat.get((*path, name))) for name in ("kernel", "bias"))
        return kernel, shift if first.bias else None, unflatten_dict(rest)

    def apply(zeta: tuple[jax.Array, Any], x: jax.Array, others: dict[str, Any]) -> Any:
        call_with = {"variables": variables or {}} | arguments | others
        return _after_layer(module, path, zeta, x, **call_with)

    def loss(zeta: tuple[jax.Array, Any], x: jax.Array, *labels: Any, **others: Any) -> Any:
        found = apply(zeta, x, others)
        if not (arguments | others).get("mutable"):
            return loss_of_logits(found, *labels)
        logits, changed = found
        value = loss_of_logits(logits, *labels)
        return (value, changed) if others.get("mutable") else value

    layer = FirstLayer(split, loss, first.bias)
    try:
        jax.eval_shape(lambda params, x: apply(layer.enter(params, x), x, {}), params, x)
    except (FlaxError, KeyError):
        refuse_second_use(_kind(module))
    return layer


def _check_module(module: Any) -> None:
    """Check that a model is of this kind.

    Raises:
        ModelError: it is no linen module.
    """
    if not isinstance(module, nn.Module):
        expected = "a Flax linen module; for a model of nnx, the functions of flatreg.penalty.nnx"
        raise ModelError("module", type(module).__name__, expected)


def _check_kernels(module: nn.Module, paths: list[Path], flat: Mapping[Path, Any]) -> None:
    """Check that parameters hold the kernels of these layers.

    Raises:
        ModelError: one is missing, as in those of another module or in all variables of this one.
    """
    missing = ["/".join((*path, "kernel")) for path in paths if (*path, "kernel") not in flat]
    if missing:
        found = f"without {missing[0]}, with {', '.join(dict.fromkeys(name for name, *_ in flat))}"
        raise ModelError("params", found, f"variables['params'] of {type(module).__name__}")


def _kind(module: nn.Module) -> Kind:
    return Kind(type(module).__name__, "nn.Dense")


def _place(call: Call) -> Path:
    """The path of a layer among the parameters."""
    return tuple(call.path.split("/")) if call.path else ()


def _variables(module: nn.Module, x: jax.Array, arguments: dict[str, Any]) -> Any:
    """Shapes and types of the module's variables."""
    keys = {"params": jax.random.key(0)} | (arguments.get("rngs") or {})
    of_call = {name: value for name, value in arguments.items() if name not in ("rngs", "mutable")}
    return jax.eval_shape(lambda x: module.init(keys, x, **of_call), x)


def dense_layers(
    module: nn.Module,
    x: jax.Array,
    loss_of_logits: Callable[..., jax.Array],
    *,
    activation: Activation | None = None,
    **arguments: Any,
) -> DenseLayers:
    """All layers of a module that is a chain of `nn.Dense`, an elementwise activation between two.

    The activations are found by putting numbers in place of the layers' outputs and looking at the
    next layers' inputs: piecewise linear with one kink at 0, or one of Flax's own.

    Args:
        module: called as `module(x, **arguments)`, dropout off; its output is the last layer's.
        x: inputs [B, d]; only their shape and type matter.
        loss_of_logits: mean cross-entropy, `loss_of_logits(logits, *labels) -> []`.
        activation: between all layers, if it is another.
        **arguments: keyword arguments of the module's call and of `apply`, such as `rngs`; they
            can be overridden in a call of the layers' `loss_at`.

    Raises:
        ModelError: the module is not such a chain; the message names the module and what else it
            does.
    """
    _check_module(module)
    variables = _variables(module, x, arguments)
    calls = _dense_calls(module, x, variables, arguments)
    names = ["/".join(name).removeprefix("params/") for name in flatten_dict(variables)]
    check_chain(_kind(module), calls, names)
    paths = [_place(call) for call in calls]

    def between(outputs: list[jax.Array], x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        return _between(module, paths, outputs, x, arguments)

    phis = activations(_kind(module), calls, x, activation, between)

    def split(params: Any) -> list[Layer]:
        flat = flatten_dict(nn.meta.unbox(params))
        _check_kernels(module, paths, flat)
        return [(flat[*path, "kernel"], flat.get((*path, "bias"))) for path in paths]

    def run(zeta: Coordinates, x: Any, **others: Any) -> jax.Array:
        z, later = zeta
        flat = {}
        for path, (kernel, bias) in zip(paths[1:], later, strict=True):
            flat |= {(*path, "kernel"): kernel} | ({} if bias is None else {(*path, "bias"): bias})
        rest = z, unflatten_dict(flat)
        return _after_layer(module, paths[0], rest, x, variables={}, **arguments | others)

    return DenseLayers(split, loss_of_logits, phis, calls[0].bias, run)


def _after_layer(
    module: nn.Module,
    path: Path,
    zeta: tuple[jax.Array, Any],
    x: Any,
    *,
    variables: Mapping[str, Any],
    **arguments: Any,
) -> Any:
    """What `apply` returns with z in place of one Dense layer, from the other parameters."""
    z, rest = zeta

    def leave_out(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if _is_dense_call(context) and context.module.path == path:
            return z if context.module.dtype is None else z.astype(context.module.dtype)
        return call(*args, **kwargs)

    with nn.intercept_methods(leave_out):
        return module.apply({**variables, "params": rest}, x, **arguments)


def _dense_calls(
    module: nn.Module, x: jax.Array, variables: Any, arguments: dict[str, Any]
) -> list[Call]:
    """All calls of Dense layers in their order."""
    calls: list[Call] = []

    def run(variables: Any, x: jax.Array) -> Any:
        flat = flatten_dict(variables["params"])

        def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if _is_dense_call(context):
                dense = context.module
                acted_on = _input(args, kwargs)
                kernel = dense.get_variable("params", "kernel")
                own = kernel is flat.get((*dense.path, "kernel"))
                path = "/".join(dense.path)
                calls.append(Call(path, dense.features, dense.use_bias, acted_on is x, own))
            return call(*args, **kwargs)

        with nn.intercept_methods(note):
            return module.apply(variables, x, **arguments)

    try:
        jax.eval_shape(run, variables, x)
    except FlaxError as error:
        found = f"{type(module).__name__}, which does not run with {', '.join(variables)} alone"
        expected = "its other collections: first_layer(..., variables={'batch_stats': ...})"
        raise ModelError("module", found, expected) from error
    return calls


def _between(
    module: nn.Module,
    paths: list[Path],
    outputs: list[jax.Array],
    x: jax.Array,
    arguments: dict[str, Any],
) -> tuple[list[jax.Array], jax.Array]:
    """The later layers' inputs, and the module's output, with `outputs` in place of the layers'."""
    entered: dict[Path, jax.Array] = {}
    given = dict(zip(paths, outputs, strict=True))

    def put(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if not _is_dense_call(context):
            return call(*args, **kwargs)
        entered[context.module.path] = _input(args, kwargs)
        return given[context.module.path]

    with nn.intercept_methods(put):
        logits = module.apply({"params": {}}, x, **arguments)
    return [entered[path] for path in paths[1:]], logits


def _input(args: Any, kwargs: Any) -> jax.Array:
    """What a Dense layer is called on."""
    return args[0] if args else kwargs["inputs"]


def _is_dense_call(context: Any) -> bool:
    """Whether this is a call of Flax's own Dense layer: a subclass may compute something else."""
    module = context.module
    plain = type(module) is nn.Dense and module.dot_general is module.dot_general_cls is None
    return plain and context.method_name == "__call__"
