"""The first layer of a Flax linen module, or all its dense layers, derived from the module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from flax.traverse_util import flatten_dict, unflatten_dict

from flatreg.penalty.activations import POINTS, Activation, recognized
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
    params = _variables(module, x, arguments)["params"]
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
        call_with = {"variables": variables or {}} | arguments | others
        return _after_layer(module, path, zeta, x, **call_with)

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
    variables = _variables(module, x, arguments)
    calls = _dense_calls(module, x, variables, arguments)
    _check_chain(module, calls, set(flatten_dict(variables)))
    paths = [call.path for call in calls]
    phis = _activations(module, calls, x, activation, arguments)

    def split(params: Any) -> list[Layer]:
        flat = flatten_dict(nn.meta.unbox(params))
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


class _Call(NamedTuple):
    """A call of a Dense layer: its path and width, and whether its kernel is its own parameter."""

    path: Path
    width: int
    bias: bool
    on_input: bool
    own_kernel: bool


def _find(
    module: nn.Module, x: jax.Array, variables: Any, arguments: dict[str, Any]
) -> tuple[Path, bool]:
    """Path of the Dense layer that acts on the input, and whether it has a bias."""
    calls = _dense_calls(module, x, variables, arguments)
    on_input = [call for call in calls if call.on_input and call.own_kernel]
    if len(on_input) != 1 or [call.path for call in calls].count(on_input[0].path) != 1:
        raise ModelError(
            "module",
            f"{type(module).__name__}, with {len(on_input) or 'no'} plain nn.Dense on its input",
            _FITTING,
        )
    return on_input[0].path, on_input[0].bias


def _dense_calls(
    module: nn.Module, x: jax.Array, variables: Any, arguments: dict[str, Any]
) -> list[_Call]:
    """All calls of Dense layers in their order."""
    calls: list[_Call] = []

    def run(variables: Any, x: jax.Array) -> Any:
        flat = flatten_dict(variables["params"])

        def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if _is_dense_call(context):
                dense = context.module
                acted_on = _input(args, kwargs)
                kernel = dense.get_variable("params", "kernel")
                own = kernel is flat.get((*dense.path, "kernel"))
                calls.append(_Call(dense.path, dense.features, dense.use_bias, acted_on is x, own))
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


def _check_chain(module: nn.Module, calls: list[_Call], names: set[Path]) -> None:
    """Check that a module's only variables are those of plain Dense layers, each called once."""
    expected = {("params", *call.path, "kernel") for call in calls}
    expected |= {("params", *call.path, "bias") for call in calls if call.bias}
    paths = [call.path for call in calls]
    other = sorted("/".join(name[1:]) for name in names - expected)
    if other:
        _refuse(module, f"with the parameter {other[0]}, outside of a plain nn.Dense")
    if not all(call.own_kernel for call in calls) or len(set(paths)) != len(paths):
        _refuse(module, "with a layer called twice, or whose kernel is not its parameter")
    if [call.on_input for call in calls] != [True, *[False] * (len(calls) - 1)]:
        _refuse(module, "whose first layer alone does not act on the input")


def _activations(
    module: nn.Module,
    calls: list[_Call],
    x: jax.Array,
    activation: Activation | None,
    arguments: dict[str, Any],
) -> tuple[Activation, ...]:
    """The function between each two layers, seen at `POINTS` and 0 in another order in each unit.

    Raises:
        ModelError: one is not elementwise, or unknown; or the last layer's output is not the
            module's.
    """
    points = np.append(POINTS, np.float32(0))
    rng = np.random.default_rng(0)
    columns = [rng.permuted(np.tile(points, (call.width, 1)), axis=1).T for call in calls]
    inputs = rng.normal(size=(points.size, *x.shape[1:])).astype(np.float32)

    def between(outputs: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
        entered: dict[Path, jax.Array] = {}
        given = dict(zip([call.path for call in calls], outputs, strict=True))

        def put(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if not _is_dense_call(context):
                return call(*args, **kwargs)
            entered[context.module.path] = _input(args, kwargs)
            return given[context.module.path]

        with nn.intercept_methods(put):
            logits = module.apply({"params": {}}, jnp.asarray(inputs), **arguments)
        return [entered[call.path] for call in calls[1:]], logits

    with jax.ensure_compile_time_eval():
        z = [jnp.asarray(column) for column in columns]
        (seen, logits), (slopes, _) = jax.jvp(between, (z,), ([jnp.ones_like(c) for c in z],))
        if logits.shape != z[-1].shape or not bool(jnp.all(logits == z[-1])):
            _refuse(module, "whose output is not that of its last layer")
        found = []
        for call, column, *point in zip(calls, z, seen, slopes, strict=False):
            phi = recognized(column, *point, activation)
            if phi is None:
                _refuse(module, f"with an unknown function after layer {'/'.join(call.path)}")
            found.append(phi)
    return tuple(found)


def _refuse(module: nn.Module, found: str) -> NoReturn:
    raise ModelError(
        "module",
        f"{type(module).__name__}, {found}",
        "plain nn.Dense layers one after another, an elementwise activation between them and"
        " dropout off (`pairs`), or the estimators `gram` and `autodiff`",
    )


def _input(args: Any, kwargs: Any) -> jax.Array:
    """What a Dense layer is called on."""
    return args[0] if args else kwargs["inputs"]


def _is_dense_call(context: Any) -> bool:
    """Whether this is a call of Flax's own Dense layer: a subclass may compute something else."""
    module = context.module
    plain = type(module) is nn.Dense and module.dot_general is module.dot_general_cls is None
    return plain and context.method_name == "__call__"
