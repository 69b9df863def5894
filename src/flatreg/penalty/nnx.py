"""The first layer of a Flax nnx model, or all its dense layers, derived from the model.

Import the functions by name, as Flax's own module has the name of this one:

    from flax import nnx
    from flatreg.penalty.nnx import dense_layers

The parameters are the model's `nnx.Param`, `nnx.state(model, nnx.Param)`, also those of
`nnx.split(model, nnx.Param, ...)`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import jax
from flax import nnx

from flatreg.penalty.activations import Activation
from flatreg.penalty.calls import (
    Call,
    Kind,
    activations,
    check_chain,
    only_on_input,
    parameter,
    refuse_second_use,
)
from flatreg.penalty.dense_layers import Coordinates, DenseLayers, Layer
from flatreg.penalty.errors import ModelError
from flatreg.penalty.first_layer import FirstLayer

# `handle(path, layer, inputs) -> outputs`, in place of a call of an `nnx.Linear`.
Handle = Callable[[str, nnx.Linear, jax.Array], jax.Array]
# Parameters by their paths, "block/up/kernel".
Flat = dict[str, Any]


def first_layer(
    model: nnx.Module, x: jax.Array, loss_of_logits: Callable[..., jax.Array], **arguments: Any
) -> FirstLayer:
    """Split a model in which exactly one `nnx.Linear` acts on the input; the rest is any function.

    Args:
        model: called as `model(x, **arguments)`; for the loss of H with dropout off, as after
            `model.eval()`. It is not changed.
        x: inputs [B, d]; only their shape and type matter.
        loss_of_logits: mean task loss, `loss_of_logits(logits, *labels) -> []`.
        **arguments: keyword arguments of the model's call. They can be overridden in a call of the
            layer's loss, and so can `state`, what the model has beside its parameters, such as
            BatchNorm's statistics: `nnx.state(model, nnx.Not(nnx.Param))`. What a call changes
            in it is not returned.

    Raises:
        ModelError: there is no such layer, or several, or its kernel is used elsewhere too; the
            message names the model.
    """
    parts = _Parts(model)
    first = only_on_input(parts.kind, parts.calls(x, arguments))
    kernel, bias = (parameter(first.path, name) for name in ("kernel", "bias"))

    def split(params: Any) -> tuple[jax.Array, jax.Array | None, Flat]:
        rest = parts.flat(params)
        return rest.pop(kernel), rest.pop(bias) if first.bias else None, rest

    def logits(zeta: tuple[jax.Array, Flat], x: jax.Array, others: dict[str, Any]) -> Any:
        return parts.after(first.path, zeta, x, **arguments | others)

    def loss(zeta: tuple[jax.Array, Flat], x: jax.Array, *labels: Any, **others: Any) -> Any:
        return loss_of_logits(logits(zeta, x, others), *labels)

    layer = FirstLayer(split, loss, first.bias)
    given = _cloned(arguments)
    try:
        jax.eval_shape(lambda p, x: logits(layer.enter(p, x), x, given), parts.params, x)
    except (AttributeError, TypeError):
        refuse_second_use(parts.kind)
    return layer


def dense_layers(
    model: nnx.Module,
    x: jax.Array,
    loss_of_logits: Callable[..., jax.Array],
    *,
    activation: Activation | None = None,
    **arguments: Any,
) -> DenseLayers:
    """All layers of a model that is a chain of `nnx.Linear`, an elementwise activation between two.

    The activations are found as by `flatreg.penalty.linen.dense_layers`.

    Args:
        model: called as `model(x, **arguments)`, dropout off, as after `model.eval()`; its output
            is the last layer's. An `nnx.Sequential`, or any other module. It is not changed.
        x: inputs [B, d]; only their shape and type matter.
        loss_of_logits: mean cross-entropy, `loss_of_logits(logits, *labels) -> []`.
        activation: between all layers, if it is another.
        **arguments: keyword arguments of the model's call; they can be overridden in a call of the
            layers' `loss_at`.

    Raises:
        ModelError: the model is not such a chain; the message names the model and what else it
            does.
    """
    parts = _Parts(model)
    calls = parts.calls(x, arguments)
    check_chain(parts.kind, calls, parts.names)
    paths = [call.path for call in calls]

    def between(outputs: list[jax.Array], x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        return parts.between(paths, outputs, x, _cloned(arguments))

    phis = activations(parts.kind, calls, x, activation, between)

    def split(params: Any) -> list[Layer]:
        flat = parts.flat(params)
        return [(flat[parameter(p, "kernel")], flat.get(parameter(p, "bias"))) for p in paths]

    def run(zeta: Coordinates, x: Any, **others: Any) -> jax.Array:
        z, later = zeta
        flat = {}
        for path, (kernel, bias) in zip(paths[1:], later, strict=True):
            flat |= {parameter(path, "kernel"): kernel, parameter(path, "bias"): bias}
        return parts.after(paths[0], (z, flat), x, **arguments | others)

    return DenseLayers(split, loss_of_logits, phis, calls[0].bias, run)


class _Parts:
    """A model as a function of its parameters, and of what its linear layers return.

    Attributes:
        kind: names for messages.
        params: shapes and types of the parameters.
        names: their paths, in their order.
    """

    def __init__(self, model: nnx.Module) -> None:
        """Split the model.

        Raises:
            ModelError: it is no model of nnx.
        """
        if not isinstance(model, nnx.Module):
            expected = "a Flax nnx module; for one of linen, the functions of flatreg.penalty.linen"
            raise ModelError("module", type(model).__name__, expected)
        self._graph, params, self._state = nnx.split(model, nnx.Param, ...)
        self.kind = Kind(type(model).__name__, "nnx.Linear")
        self.params = jax.eval_shape(lambda: params)
        self.names = list(_by_path(params))

    def flat(self, params: Any) -> Flat:
        """The parameters by their paths.

        Raises:
            ModelError: they are not those of the model.
        """
        flat = _by_path(params)
        if list(flat) != self.names:
            other = sorted(set(flat) ^ set(self.names))[:1]
            found = f"not the model's, which differ in {other[0] if other else 'their order'}"
            raise ModelError("params", found, f"nnx.state(model, nnx.Param) of {self.kind.module}")
        return flat

    def calls(self, x: jax.Array, arguments: dict[str, Any]) -> list[Call]:
        """All calls of plain linear layers in their order."""
        calls: list[Call] = []

        def run(params: Any, x: jax.Array) -> Any:
            def note(path: str, layer: nnx.Linear, inputs: jax.Array) -> jax.Array:
                own = parameter(path, "kernel") in self.names
                call = Call(path, layer.out_features, layer.use_bias, inputs is x, own)
                calls.append(call)
                return nnx.Linear.__call__(layer, inputs)

            return self._run(_by_path(params), self._state, note, x, _cloned(arguments))

        jax.eval_shape(run, self.params, x)
        return calls

    def after(
        self,
        first: str,
        zeta: tuple[jax.Array, Flat],
        x: Any,
        *,
        state: Any = None,
        **arguments: Any,
    ) -> Any:
        """What the model returns with z in place of one linear layer, from the other parameters."""
        z, rest = zeta

        def leave_out(path: str, layer: nnx.Linear, inputs: jax.Array) -> jax.Array:
            if path != first:
                return nnx.Linear.__call__(layer, inputs)
            return z if layer.dtype is None else z.astype(layer.dtype)

        state = self._state if state is None else state
        return self._run(rest, state, leave_out, x, arguments)

    def between(
        self, paths: list[str], outputs: list[jax.Array], x: jax.Array, arguments: dict[str, Any]
    ) -> tuple[list[jax.Array], jax.Array]:
        """The later layers' inputs, and the model's output, with `outputs` in place of theirs."""
        entered: dict[str, jax.Array] = {}
        given = dict(zip(paths, outputs, strict=True))

        def put(path: str, _: nnx.Linear, inputs: jax.Array) -> jax.Array:
            entered[path] = inputs
            return given[path]

        result = self._run({}, self._state, put, x, arguments)
        return [entered[path] for path in paths[1:]], result

    def _run(
        self, flat: Flat, state: Any, handle: Handle, x: Any, arguments: dict[str, Any]
    ) -> Any:
        """Call the model; a parameter that is not given has a shape alone, and cannot be used."""
        shapes, structure = jax.tree.flatten(self.params)
        leaves = [flat.get(name, shape) for name, shape in zip(self.names, shapes, strict=True)]
        # Variables belong to the trace that they were made in: those of the call are new ones.
        state = jax.tree.map(lambda leaf: leaf, state)
        model = nnx.merge(self._graph, structure.unflatten(leaves), state)
        for path, layer in list(nnx.iter_modules(model)):
            if _is_plain(layer):
                vars(layer)["handle"] = partial(handle, "/".join(map(str, path)))
                layer.__class__ = _Observed
        return model(x, **arguments)


class _Observed(nnx.Linear):
    """A linear layer of a model that was merged for one call, whose call is another function.

    nnx has no hook for the calls of a module, and a class is shared by all models.
    """

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """What the function returns, wherever it lies."""
        return vars(self)["handle"](self, inputs)


def _is_plain(layer: Any) -> bool:
    """Whether this is Flax's own linear layer: a subclass may compute something else."""
    usual = signature(nnx.Linear).parameters
    return type(layer) is nnx.Linear and all(
        getattr(layer, name) is usual[name].default
        for name in ("dot_general", "promote_dtype", "preferred_element_type")
        if name in usual
    )


def _by_path(params: Any) -> Flat:
    """Leaves by their paths; a variable has its value one level below."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value"): leaf
        for path, leaf in jax.tree.leaves_with_path(params)
    }


def _cloned(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same arguments; random streams are copied, so that a trace can draw from them."""
    return {
        name: nnx.clone(value) if isinstance(value, nnx.Rngs) else value
        for name, value in arguments.items()
    }
