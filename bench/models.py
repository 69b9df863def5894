"""The networks of the bench as functions: dense layers, a small convolutional one, a Transformer.

All take pictures, or other inputs, as flat rows. The convolutional network and the Transformer have
about 30,000 and 90,000 parameters, few enough to be measured on a laptop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench import networks
from bench.networks import Shape

SIDE, COLORS, CLASSES = 32, 3, 100
# Channels and stride of each convolution.
CONVOLUTIONS = ((16, 2), (32, 2), (64, 1))
# Side of a patch (pixels), units of a token, heads, hidden units and number of blocks.
PATCH, UNITS, HEADS, HIDDEN, BLOCKS = 8, 64, 4, 128, 2


class Model(NamedTuple):
    """A network under a mean cross-entropy.

    Attributes:
        inputs: width of a row of inputs.
        outputs: number of logits.
        start: initial parameters, a function without arguments.
        logits: `logits(params, x) -> [B, outputs]`.
    """

    inputs: int
    outputs: int
    start: Callable[[], Any]
    logits: Callable[[Any, jax.Array], jax.Array]

    def loss(self, params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        """Mean cross-entropy of the whole network."""
        return loss_of_logits(self.logits(params, x), y)


def loss_of_logits(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross-entropy."""
    if logits.shape[1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], y.astype(logits.dtype)).mean()
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def dense(shape: Shape) -> Model:
    """Dense layers with ReLU between them, as the study's; kernels of variance 1/d, biases 0."""

    def start() -> Any:
        return [
            (jnp.asarray(kernel / np.sqrt(2)), jnp.zeros_like(bias))
            for kernel, bias in networks.parameters(shape)
        ]

    return Model(shape.inputs, shape.outputs, start, dense_logits)


def dense_logits(params: Any, x: jax.Array) -> jax.Array:
    """Logits of dense layers with ReLU between them."""
    (kernel, bias), *rest = params
    return after_first(x @ kernel + bias, rest)


def after_first(z: jax.Array, layers: Any) -> jax.Array:
    """Logits from the first layer's outputs."""
    for kernel, bias in layers:
        z = jax.nn.relu(z) @ kernel + bias
    return z


def convolutional() -> Model:
    """Three convolutions with ReLU, the mean over all places, and a dense layer."""

    def start() -> Any:
        rng = np.random.default_rng(0)
        widths = [COLORS, *(channels for channels, _ in CONVOLUTIONS)]
        kernels = [
            _normal(rng, (3, 3, d, h), np.sqrt(2 / (9 * d))) for d, h in itertools.pairwise(widths)
        ]
        kernels.append(_normal(rng, (widths[-1], CLASSES), np.sqrt(1 / widths[-1])))
        return [(kernel, jnp.zeros(kernel.shape[-1])) for kernel in kernels]

    def logits(params: Any, x: jax.Array) -> jax.Array:
        a = _pictures(x)
        for (kernel, bias), (_, stride) in zip(params[:-1], CONVOLUTIONS, strict=True):
            a = jax.nn.relu(_convolve(a, kernel, stride) + bias)
        kernel, bias = params[-1]
        return a.mean((1, 2)) @ kernel + bias

    return Model(SIDE * SIDE * COLORS, CLASSES, start, logits)


def transformer() -> Model:
    """A Transformer on the patches of a picture, and a dense layer on the mean of its tokens.

    References:
        A. Dosovitskiy et al. An image is worth 16x16 words. ICLR 2021. arXiv:2010.11929.
    """
    tokens, entries = (SIDE // PATCH) ** 2, PATCH * PATCH * COLORS

    def start() -> Any:
        rng = np.random.default_rng(0)

        def layer(d: int, h: int) -> tuple[jax.Array, jax.Array]:
            return _normal(rng, (d, h), np.sqrt(1 / d)), jnp.zeros(h)

        def block() -> dict[str, Any]:
            return {
                "before": (jnp.ones((2, UNITS)), jnp.zeros((2, UNITS))),
                "heads": layer(UNITS, 3 * UNITS),
                "join": layer(UNITS, UNITS),
                "hidden": layer(UNITS, HIDDEN),
                "out": layer(HIDDEN, UNITS),
            }

        return {
            "patches": layer(entries, UNITS),
            "places": _normal(rng, (tokens, UNITS), 0.02),
            "blocks": [block() for _ in range(BLOCKS)],
            "logits": layer(UNITS, CLASSES),
        }

    def logits(params: Any, x: jax.Array) -> jax.Array:
        h = _along(params["patches"], _patches(_pictures(x))) + params["places"]
        for block in params["blocks"]:
            gain, shift = block["before"]
            h = h + _attention(block, _standard(h) * gain[0] + shift[0])
            hidden = jax.nn.gelu(_along(block["hidden"], _standard(h) * gain[1] + shift[1]))
            h = h + _along(block["out"], hidden)
        return _along(params["logits"], _standard(h).mean(1))

    return Model(SIDE * SIDE * COLORS, CLASSES, start, logits)


def _attention(block: Any, h: jax.Array) -> jax.Array:
    """Attention [B, tokens, units] of all heads."""
    split = _along(block["heads"], h).reshape(*h.shape[:2], 3, HEADS, UNITS // HEADS)
    query, key, value = jnp.moveaxis(split, 2, 0)
    scores = jnp.einsum("bthu,bshu->bhts", query, key) / np.sqrt(UNITS // HEADS)
    mixed = jnp.einsum("bhts,bshu->bthu", jax.nn.softmax(scores), value)
    return _along(block["join"], mixed.reshape(h.shape))


def _along(layer: tuple[jax.Array, jax.Array], h: jax.Array) -> jax.Array:
    kernel, bias = layer
    return h @ kernel + bias


def _standard(h: jax.Array) -> jax.Array:
    """Each token with mean 0 and variance 1."""
    return jax.nn.standardize(h, epsilon=1e-5)


def _pictures(x: jax.Array) -> jax.Array:
    return x.reshape(-1, SIDE, SIDE, COLORS)


def _patches(pictures: jax.Array) -> jax.Array:
    """The entries of each patch, [B, tokens, entries]."""
    count = SIDE // PATCH
    cut = pictures.reshape(-1, count, PATCH, count, PATCH, COLORS).swapaxes(2, 3)
    return cut.reshape(-1, count * count, PATCH * PATCH * COLORS)


def _convolve(a: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    strides = (stride, stride)
    return jax.lax.conv_general_dilated(a, kernel, strides, "SAME", dimension_numbers=layout)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> jax.Array:
    return jnp.asarray(scale * rng.normal(size=shape), jnp.float32)
