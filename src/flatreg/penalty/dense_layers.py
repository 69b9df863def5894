"""Chains of dense layers with an elementwise activation between them, on a fixed input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from flatreg.penalty.activations import Activation, value_and_slope
from flatreg.penalty.errors import ModelError
from flatreg.penalty.estimator import Params, described
from flatreg.penalty.first_layer import FirstLayer
from flatreg.penalty.subset import Selected, Taken, Where, parts_taken

Layer = tuple[jax.Array, jax.Array | None]
Coordinates = tuple[jax.Array, tuple[Layer, ...]]


class Forward(NamedTuple):
    """One pass through the layers l = 0 to L - 1: z_l = a_l W_l + b_l, a_{l+1} = phi_l(z_l).

    Attributes:
        inputs: a_1 to a_{L-1}, each [B, h]; a_0 is the batch itself.
        outputs: z_0 to z_{L-2}, each [B, h].
        slopes: phi_l'(z_l) at these outputs.
        logits: z_{L-1}, [B, 1] or [B, C].
    """

    inputs: list[jax.Array]
    outputs: list[jax.Array]
    slopes: list[jax.Array]
    logits: jax.Array


class DenseLayers(NamedTuple):
    """The layers z = a kernel + bias of a network, and the loss as a function of the last z.

    Its coordinates zeta are the first layer's outputs z [B, h] and the later layers.

    Attributes:
        split: `split(params) -> [(kernel [d, h], bias [h] or None), ...]`, from the input to the
            logits. It only rearranges: each parameter is in exactly one part, unchanged.
        loss: mean cross-entropy, `loss(logits, *labels) -> []`, of a sigmoid (logits [B, 1]) or
            a softmax ([B, C]).
        activation: the elementwise function between two layers, or one for each pair of layers.
        bias: whether the first layer has a bias.
        run: `run(zeta, x, **arguments) -> logits`, if the model computes them otherwise than
            layer by layer, or in training with dropout.
    """

    split: Callable[[Params], Sequence[Layer]]
    loss: Callable[..., jax.Array]
    activation: Activation | Sequence[Activation] = jax.nn.relu
    bias: bool = True
    run: Callable[..., jax.Array] | None = None

    def enter(self, params: Params, x: Any, where: Where | None = None) -> Coordinates:
        """The coordinates (z, later layers) of the parameters on inputs x [B, d].

        Args:
            params: parameters of the model.
            x: inputs.
            where: the parameters that H is taken in, as of `autodiff`; by default all.

        Raises:
            BatchError: x is not a matrix.
            ModelError: the parts of `split` have wrong shapes, or do not cover the parameters.
            ParameterError: `where` selects no parameters, or a part of an array, or does not fit.
        """
        (kernel, bias), *later = self.split(params)
        later = tuple((kernel, bias) for kernel, bias in later)
        first = FirstLayer(lambda _: (kernel, bias, later), self.loss, self.bias)
        zeta = first.enter(params, x)
        self._check_widths(kernel, later)
        if where is None:
            return zeta
        parts = parts_taken(where, params, self.split)
        return Selected(zeta, tuple(Taken(kernel, bool(bias)) for kernel, bias in parts))

    def taken(self, zeta: Coordinates) -> tuple[Taken, ...]:
        """Where H is taken in the parameters of each layer."""
        if isinstance(zeta, Selected):
            return zeta.taken
        return (Taken(True, self.bias), *(Taken(True, bias is not None) for _, bias in zeta[1]))

    def logits(self, zeta: Coordinates, x: Any, **arguments: Any) -> jax.Array:
        """The model's logits [B, C], by `run` if there is one."""
        return self.forward(zeta).logits if self.run is None else self.run(zeta, x, **arguments)

    def loss_at(self, zeta: Coordinates, x: Any, *labels: Any, **arguments: Any) -> jax.Array:
        """Mean task loss of the model's logits: shape []."""
        return self.loss(self.logits(zeta, x, **arguments), *labels)

    def forward(self, zeta: Coordinates) -> Forward:
        """The pass through the layers, one after another."""
        z, later = zeta
        passed = Forward([], [], [], z)
        for phi, (kernel, bias) in zip(self.activations(len(later)), later, strict=True):
            a, slope = value_and_slope(phi, z)
            passed.inputs.append(a)
            passed.outputs.append(z)
            passed.slopes.append(slope)
            z = a @ kernel if bias is None else a @ kernel + bias[None]
        return passed._replace(logits=z)

    def activations(self, count: int) -> tuple[Activation, ...]:
        """The activation after each of the first `count` layers.

        Raises:
            ModelError: `activation` names another number of them.
        """
        if callable(self.activation):
            return (self.activation,) * count
        if len(self.activation) != count:
            found = f"{len(self.activation)} functions for {count + 1} layers"
            raise ModelError("network.activation", found, f"one function, or {count}")
        return tuple(self.activation)

    def _check_widths(self, kernel: jax.Array, later: tuple[Layer, ...]) -> None:
        width = kernel.shape[1]
        for number, (kernel, bias) in enumerate(later, 2):
            if kernel.ndim != 2 or kernel.shape[0] != width:
                found = f"with kernel {described(kernel)} in layer {number}"
                raise ModelError("network", found, f"a matrix [{width}, h]")
            width = kernel.shape[1]
            if bias is not None and bias.shape != (width,):
                found = f"with bias {described(bias)} in layer {number}"
                raise ModelError("network", found, f"shape [{width}]")
