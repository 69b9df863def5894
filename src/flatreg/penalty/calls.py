"""The dense layers that a module calls, and whether they are a chain; for `linen` and `nnx`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from flatreg.penalty.activations import POINTS, Activation, recognized
from flatreg.penalty.errors import ModelError

# `between(outputs, x) -> (inputs, result)`: with these outputs in place of what the layers return,
# the inputs of all but the first layer, and what the module returns on x.
Between = Callable[[list[jax.Array], jax.Array], tuple[list[jax.Array], jax.Array]]


class Kind(NamedTuple):
    """The names of a module and of its dense layers, for messages.

    Attributes:
        module: the class of the module.
        layer: "nn.Dense" or "nnx.Linear".
    """

    module: str
    layer: str


class Call(NamedTuple):
    """A call of a dense layer.

    Attributes:
        path: the layer's place in the module, "block/up".
        width: number of outputs.
        bias: whether it has a bias.
        on_input: whether it acts on the module's input.
        own_kernel: whether its kernel is a parameter of its own.
    """

    path: str
    width: int
    bias: bool
    on_input: bool
    own_kernel: bool


def parameter(path: str, name: str) -> str:
    """The path of a layer's parameter; that of the module itself is empty."""
    return f"{path}/{name}".removeprefix("/")


def only_on_input(kind: Kind, calls: list[Call]) -> Call:
    """The call of the only plain dense layer on the input.

    Raises:
        ModelError: there is none, or several, or the layer is called again.
    """
    on_input = [call for call in calls if call.on_input and call.own_kernel]
    if len(on_input) != 1 or [call.path for call in calls].count(on_input[0].path) != 1:
        found = f"{kind.module}, with {len(on_input) or 'no'} plain {kind.layer} on its input"
        raise ModelError("module", found, _ONE)
    return on_input[0]


def refuse_second_use(kind: Kind) -> NoReturn:
    """Say that the first layer's kernel is used elsewhere too.

    Raises:
        ModelError: always.
    """
    found = f"{kind.module}, which uses the kernel of its first layer elsewhere too"
    raise ModelError("module", found, _ONE)


_ONE = "exactly one, called once (`gram`), or the estimator `autodiff`, which fits any model"


def check_chain(kind: Kind, calls: list[Call], names: Collection[str]) -> None:
    """Check that a module's only parameters are those of plain dense layers, each called once.

    Args:
        kind: names for messages.
        calls: in their order.
        names: the paths of all parameters.

    Raises:
        ModelError: they are not, or the first layer alone does not act on the input.
    """
    expected = {parameter(call.path, "kernel") for call in calls}
    expected |= {parameter(call.path, "bias") for call in calls if call.bias}
    other = sorted(set(names) - expected)
    if other:
        refuse(kind, f"with the parameter {other[0]}, outside of a plain {kind.layer}")
    paths = [call.path for call in calls]
    if not all(call.own_kernel for call in calls) or len(set(paths)) != len(paths):
        refuse(kind, "with a layer called twice, or whose kernel is not its parameter")
    if [call.on_input for call in calls] != [True, *[False] * (len(calls) - 1)]:
        refuse(kind, "whose first layer alone does not act on the input")


def activations(
    kind: Kind, calls: list[Call], x: jax.Array, activation: Activation | None, between: Between
) -> tuple[Activation, ...]:
    """The function between each two layers, seen at `POINTS` and 0 in another order in each unit.

    Args:
        kind: names for messages.
        calls: of a chain.
        x: inputs; only their width matters.
        activation: the function between all layers, if it is known; else a known one is looked for.
        between: runs the module.

    Raises:
        ModelError: one is not elementwise, or unknown; or the last layer's output is not the
            module's.
    """
    points = np.append(POINTS, np.float32(0))
    rng = np.random.default_rng(0)
    columns = [rng.permuted(np.tile(points, (call.width, 1)), axis=1).T for call in calls]
    inputs = rng.normal(size=(points.size, *x.shape[1:])).astype(np.float32)

    def run(outputs: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
        return between(outputs, jnp.asarray(inputs))

    with jax.ensure_compile_time_eval():
        z = [jnp.asarray(column) for column in columns]
        (seen, result), (slopes, _) = jax.jvp(run, (z,), ([jnp.ones_like(c) for c in z],))
        if result.shape != z[-1].shape or not bool(jnp.all(result == z[-1])):
            refuse(kind, "whose output is not that of its last layer")
        found = []
        for call, column, *point in zip(calls, z, seen, slopes, strict=False):
            phi = recognized(column, *point, activation)
            if phi is None:
                refuse(kind, f"with an unknown function after layer {call.path}")
            found.append(phi)
    return tuple(found)


def refuse(kind: Kind, found: str) -> NoReturn:
    """Say of a module why it is no chain of dense layers.

    Raises:
        ModelError: always.
    """
    raise ModelError(
        "module",
        f"{kind.module}, {found}",
        f"plain {kind.layer} layers one after another, an elementwise activation between them and"
        " dropout off (`pairs`), or the estimators `gram` and `autodiff`",
    )
