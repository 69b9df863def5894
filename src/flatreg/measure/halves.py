"""tr(H_a^2), tr(H_a H_b) and tr(H_b^2) of the two halves a, b of samples of examples.

A half is every other example, as in `flatreg.penalty.cross_batch`. H is the Hessian of the mean
task loss, dropout off. Of one dense layer, with the Hessian S_i of example i's loss in its logits,

    tr(H_a H_b) = 1/(|a| |b|) sum_{i in a, j in b} (x_i . x_j + 1)^2 <S_i, S_j>,

which needs no probes, and has but a block of pairs in memory. Other models with a closed form give
tr(H^2) of both halves and of the sample, and so tr(H_a H_b). The rest takes probes v: the products
of H_a v and H_b v.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from flatreg import models
from flatreg.data.splits import Features, Split
from flatreg.measure.closed_form import exact_traces, only_layer
from flatreg.measure.lanes import Lane
from flatreg.penalty import hutchinson
from flatreg.penalty.estimators.autodiff import hessian_product

# Examples whose products with all others are in memory at a time.
BLOCK = 1000


class Products(NamedTuple):
    """Products of the halves' Hessians, each [samples, probes]; exact ones have one column.

    Attributes:
        first: tr(H_a^2).
        cross: tr(H_a H_b), unbiased for tr(H^2) of the loss that both are samples of.
        second: tr(H_b^2).
        share: of the examples, in the first half.
    """

    first: np.ndarray
    cross: np.ndarray
    second: np.ndarray
    share: float

    @property
    def square(self) -> np.ndarray:
        """tr(H^2) of each sample."""
        a, b = self.share, 1 - self.share
        return a**2 * self.first + 2 * a * b * self.cross + b**2 * self.second


def halves(x: Any) -> tuple[Any, Any]:
    """Every other example, and the rest."""
    return x[::2], x[1::2]


def of_samples(
    model: nn.Module,
    of_runs: Sequence[Any],
    split: Split,
    rows: np.ndarray,
    keys: Sequence[jax.Array],
    probes: int,
) -> list[tuple[Products, int]]:
    """The products of the samples of each run, and the number of probes of a sample, 0 if exact.

    Args:
        model: of `flatreg.models.build`.
        of_runs: the parameters of each run.
        split: the examples, the same for all runs.
        rows: of each sample [samples, n], n at least 2.
        keys: one of each run, of its probes.
        probes: of a sample, where there is no closed form.
    """
    if only_layer(model, of_runs[0], split.inputs(rows[0, :1])):
        return [(products, 0) for products in _of_one_layer(model, of_runs, split, rows)]
    return [
        (exact, 0)
        if (exact := _in_closed_form(model, params, split, rows)) is not None
        else (_by_probes(model, params, split, rows, key, probes), probes)
        for params, key in zip(of_runs, keys, strict=True)
    ]


def _of_one_layer(
    model: nn.Module, of_runs: Sequence[Any], split: Split, rows: np.ndarray
) -> list[Products]:
    products = np.array([_of_one_sample(model, of_runs, split, sample) for sample in rows])
    share = _share(rows)
    return [Products(*of_run.T[..., None], share) for of_run in products.swapaxes(0, 1)]


def _of_one_sample(
    model: nn.Module, of_runs: Sequence[Any], split: Split, rows: np.ndarray
) -> np.ndarray:
    """The products [runs, 3] of one sample."""
    sides = [_double(split, half) for half in halves(rows)]
    curvatures = [
        np.array([_logit_curvatures(model, params, split, half) for params in of_runs])
        for half in halves(rows)
    ]
    pairs = ((0, 0), (0, 1), (1, 1))
    return np.stack(
        [pair_means(sides[a], curvatures[a], sides[b], curvatures[b]) for a, b in pairs], axis=-1
    )


def pair_means(
    x: Features, curvatures: np.ndarray, others: Features, curvatures_of_others: np.ndarray
) -> np.ndarray:
    """Mean over pairs of (x_i . x_j + 1)^2 <S_i, S_j> [runs].

    Args:
        x: inputs [n, d] in float64, dense or CSR.
        curvatures: S of each run and example [runs, n, c].
        others: inputs [m, d].
        curvatures_of_others: [runs, m, c].
    """
    sums = np.zeros(len(curvatures))
    for start in range(0, x.shape[0], BLOCK):
        block = slice(start, start + BLOCK)
        products = x[block] @ others.T
        grams = (products.toarray() if sparse.issparse(products) else products) + 1
        squares = grams**2
        for run, (own, other) in enumerate(zip(curvatures, curvatures_of_others, strict=True)):
            sums[run] += np.sum(squares * (own[block] @ other.T))
    return sums / (x.shape[0] * others.shape[0])


def _double(split: Split, rows: np.ndarray) -> Features:
    """Scaled inputs of some rows in float64; sparse ones stay so, as they are not scaled."""
    picked = split.x[rows]
    return (picked if sparse.issparse(picked) else split.inputs(rows)).astype(np.float64)


def _logit_curvatures(model: nn.Module, params: Any, split: Split, rows: np.ndarray) -> np.ndarray:
    """The Hessian of each example's loss in its logits [n, outputs^2], in float64."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        blocks = [
            _curvatures(model, wide, jnp.asarray(split.inputs(part), jnp.float64), split.y[part])
            for part in (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        ]
        return np.concatenate([np.asarray(block).reshape(len(block), -1) for block in blocks])


@partial(jax.jit, static_argnums=0)
def _curvatures(model: nn.Module, params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    logits = model.apply({"params": params}, x, train=False)

    def loss(logits: jax.Array, y: jax.Array) -> jax.Array:
        return models.task_loss(logits[None], y[None])

    return jax.vmap(jax.hessian(loss))(logits, y)


def _in_closed_form(
    model: nn.Module, params: Any, split: Split, rows: np.ndarray
) -> Products | None:
    first = _exact_squares(model, params, split, rows[:, ::2])
    if first is None:
        return None
    second, whole = (_exact_squares(model, params, split, part) for part in (rows[:, 1::2], rows))
    share = _share(rows)
    own = share**2 * first + (1 - share) ** 2 * second
    return Products(first, (whole - own) / (2 * share * (1 - share)), second, share)


def _exact_squares(
    model: nn.Module, params: Any, split: Split, rows: np.ndarray
) -> np.ndarray | None:
    """tr(H^2) of each sample [samples, 1]; None without a closed form."""
    unused = jax.random.key(0)
    lanes = [Lane(params, split.inputs(sample), split.y[sample], unused) for sample in rows]
    traces = exact_traces(model, lanes)
    return None if traces is None else np.array([[each.tr_h2.value] for each in traces])


def _by_probes(
    model: nn.Module, params: Any, split: Split, rows: np.ndarray, key: jax.Array, probes: int
) -> Products:
    sides = [
        (np.stack([split.inputs(half) for half in side]), split.y[side])
        for side in (rows[:, ::2], rows[:, 1::2])
    ]
    found = _probed(model, probes, params, *sides, jax.random.split(key, len(rows)))
    return Products(*np.asarray(found, np.float64).transpose(2, 0, 1), _share(rows))


@partial(jax.jit, static_argnums=(0, 1))
def _probed(
    model: nn.Module, probes: int, params: Any, first: Any, second: Any, keys: jax.Array
) -> jax.Array:
    """The products of each sample by each probe [samples, probes, 3]."""

    def of_sample(sample: Any) -> jax.Array:
        *sides, key = sample
        of_halves = [
            hessian_product(lambda p, x=x, y=y: models.loss_without_dropout(model, p, x, y), params)
            for x, y in sides
        ]

        def of_probe(key: jax.Array) -> jax.Array:
            probe = hutchinson.draw(params, key, "rademacher")
            a, b = (product(probe) for product in of_halves)
            return jnp.stack([_dot(a, a), _dot(a, b), _dot(b, b)])

        return jax.lax.map(of_probe, jax.random.split(key, probes))

    return jax.lax.map(of_sample, (first, second, keys))


def _dot(one: Any, other: Any) -> jax.Array:
    return hutchinson.dot(one, other, frozenset())


def _share(rows: np.ndarray) -> float:
    """The share of the examples in the first half of each sample [samples, n]."""
    n = rows.shape[1]
    return (n - n // 2) / n
