"""tr(H_i H_j) of all pairs of examples of a batch, for a network of dense layers.

The formulas and their letters are those of `flatreg.penalty.estimators.pairs`; layers are counted
from 0, and a matrix [B, B] has an entry for each pair (i, j).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flatreg.penalty import hutchinson
from flatreg.penalty.dense_layers import Coordinates, DenseLayers
from flatreg.penalty.first_layer import taken_gram
from flatreg.penalty.subset import Taken

# One array for each layer, from the input to the logits.
Carried = list[jax.Array]


class Chain(NamedTuple):
    """What the pairs of examples are computed from.

    Attributes:
        grams: K_l [B, B] for each layer l, of those of its parameters that H is taken in.
        inputs: a_1 to a_{L-1}, each [B, h].
        slopes: d_0 to d_{L-2}, each [B, h].
        kernels: W_1 to W_{L-1}.
        logits: [B, C].
        taken: where H is taken in the parameters of each layer.
    """

    grams: list[jax.Array]
    inputs: list[jax.Array]
    slopes: list[jax.Array]
    kernels: list[jax.Array]
    logits: jax.Array
    taken: tuple[Taken, ...]

    def back(self, v: jax.Array) -> Carried:
        """Vectors v [..., B, C] at the logits, carried back to the outputs z of every layer."""
        carried = [v]
        for kernel, slope in zip(reversed(self.kernels), reversed(self.slopes), strict=True):
            slopes = jnp.expand_dims(slope, range(v.ndim - slope.ndim))
            carried.append((carried[-1] @ kernel.T) * slopes)
        return carried[::-1]

    def back_both(self, root: jax.Array, residual: jax.Array) -> tuple[Carried, Carried]:
        """Columns [k, B, C] and the residual [B, C], carried back as by `back`.

        Of one logit they are multiples of the same vectors, which are carried back once.
        """
        if residual.shape[-1] > 1:
            return self.back(root), self.back(residual)
        ones = self.back(jnp.ones_like(residual))
        return [root * v for v in ones], [residual * v for v in ones]

    def path(self, u: jax.Array, first: int, last: int) -> jax.Array:
        """Vectors u [B or 1, n, h] at a of layer `last`, carried back to z of layer `first`."""
        v = u * self.slopes[last - 1][:, None, :]
        for between in range(last - 1, first, -1):
            v = (v @ self.kernels[between - 1].T) * self.slopes[between - 1][:, None, :]
        return v


def chain(network: DenseLayers, zeta: Coordinates, x: Any) -> Chain:
    """One pass through the layers, and the products of their inputs."""
    passed, taken = network.forward(zeta), network.taken(zeta)
    dtype = passed.logits.dtype
    grams = [taken_gram(a, of, dtype) for a, of in zip([x, *passed.inputs], taken, strict=True)]
    kernels = [kernel for kernel, _ in zeta[1]]
    return Chain(grams, passed.inputs, passed.slopes, kernels, passed.logits, taken)


def directions(
    key: jax.Array, count: int | None, *, examples: int, width: int, dtype: Any
) -> jax.Array:
    """Vectors u with sum_k u_k u_k^T = I: all unit vectors, or in the mean, `count` random signs.

    Returns:
        [1, width, width] without a count or if it is not below the width, the same vectors for all
        examples; else [examples, count, width].
    """
    if count is None or count >= width:
        return jnp.eye(width, dtype=dtype)[None]
    return hutchinson.signs(key, (examples, count, width), dtype) / math.sqrt(count)


def column_products(layers: Chain, columns: Carried) -> jax.Array:
    """T, the products J_i^T s_i . J_j^T s_j of the columns' gradients.

    Args:
        layers: the batch's pass.
        columns: k vectors at the outputs of each layer, each [k, B, h].

    Returns:
        [k, B, k, B]
    """
    count, examples, _ = columns[0].shape

    def of_layer(gram: jax.Array, s: jax.Array) -> jax.Array:
        flat = s.reshape(count * examples, -1)
        return gram[None, :, None, :] * (flat @ flat.T).reshape(count, examples, count, examples)

    ours = zip(layers.grams, columns, layers.taken, strict=True)
    return sum(of_layer(gram, s) for gram, s, taken in ours if any(taken))


def rest_products(
    layers: Chain, columns: Carried, delta: Carried, far: int | None, key: jax.Array
) -> jax.Array:
    """tr(R_i R_j) + tr(G_i R_j) + tr(R_i G_j) [B, B], summed over (i, j) and (j, i) alike.

    Args:
        layers: the batch's pass.
        columns: columns of the curvature's root at each layer, each [k, B, h].
        delta: the residual at each layer, each [B, h].
        far: number of random signs for a path over one layer or more; None for its exact value.
        key: random key for these signs.
    """
    total = jnp.zeros_like(layers.grams[0])
    for number, (first, last) in enumerate(itertools.combinations(range(len(layers.grams)), 2)):
        # What a later bias adds to the logits depends on no parameter of an earlier layer.
        if not (any(layers.taken[first]) and layers.taken[last].kernel):
            continue
        if last == first + 1:
            paths, crossed = _of_neighbours(layers, columns[first], first)
        else:
            block = jax.random.fold_in(key, number)
            paths, crossed = _of_far(layers, columns[first], first, last, far, block)
        back = delta[last]
        meeting = jnp.sum(crossed * (columns[last] @ back.T), axis=0)
        total += layers.grams[first] * (2 * paths * (back @ back.T) + 4 * meeting)
    return total


def _of_neighbours(layers: Chain, s: jax.Array, first: int) -> tuple[jax.Array, jax.Array]:
    """<P_i, P_j> [B, B] and s_i^T P_j a_i [k, B, B] for the path over no layer, P = diag(d)."""
    slope, a = layers.slopes[first], layers.inputs[first]
    return slope @ slope.T, (s * a[None]) @ slope.T


def _of_far(
    layers: Chain, s: jax.Array, first: int, last: int, far: int | None, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The same for the path from z of layer `first` to a of layer `last`."""
    a = layers.inputs[last - 1]
    examples, width = a.shape
    common, own = jax.random.split(key)
    u = directions(common, far, examples=1, width=width, dtype=a.dtype)
    v = directions(own, far, examples=examples, width=width, dtype=a.dtype)
    carried = layers.path(u, first, last).reshape(examples, -1)
    along = _dots(s, layers.path(v, first, last))
    return carried @ carried.T, jnp.sum(along * _dots(a, v)[None], axis=-1)


def _dots(one: jax.Array, other: jax.Array) -> jax.Array:
    """Products of vectors [..., B, h] and [B or 1, n, h]: [..., B, B or 1, n]."""
    products = one @ other.reshape(-1, other.shape[-1]).T
    return products.reshape(*one.shape[:-1], *other.shape[:-1])
