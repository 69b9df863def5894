"""The paper's appendix on pairs of examples: its equations as printed, against dense Hessians.

Nothing of the library is used. Loops run over examples, layers and columns.
"""

# The letters are the paper's, l for a layer among them.
# ruff: noqa: E741

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

Matrix = np.ndarray

LAYERS, CLASSES, EXAMPLES = range(3), 3, 4
BLOCKS = list(itertools.combinations(LAYERS, 2))
PAIRS = list(itertools.product(range(EXAMPLES), repeat=2))
# With this seed some units are off, but no layer of an example altogether, which has R_i = 0.
RNG = np.random.default_rng(56)
WIDTHS = [3, 4, 2, CLASSES]
# W_l with b_l as its last row.
W_BAR = [RNG.normal(size=(n + 1, h)) for n, h in itertools.pairwise(WIDTHS)]
X = RNG.normal(size=(EXAMPLES, WIDTHS[0]))
Y = np.array([0, 2, 1, 2])


class Dense(NamedTuple):
    """H_i, G_i and R_i of every example, by automatic differentiation."""

    h: Matrix
    g: Matrix
    r: Matrix


@pytest.fixture(scope="module")
def dense(quick_compilation: None) -> Dense:
    shapes = [w.shape for w in W_BAR]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

    def logits(theta: Any, x: Any) -> Any:
        z = x
        for l, part in enumerate(jnp.split(theta, ends)):
            z = jnp.append(jax.nn.relu(z) if l else x, 1.0) @ part.reshape(shapes[l])
        return z

    def loss(z: Any, y: Any) -> Any:
        return jax.nn.logsumexp(z) - z[y]

    def of_one(theta: Any, x: Any, y: Any) -> Any:
        h = jax.hessian(lambda t: loss(logits(t, x), y))(theta)
        a = jax.hessian(loss)(logits(theta, x), y)
        jacobian = jax.jacrev(logits)(theta, x)
        return h, jacobian.T @ a @ jacobian

    with jax.enable_x64(True):
        theta = jnp.concatenate([w.ravel() for w in W_BAR])
        h, g = jax.jit(jax.vmap(of_one, in_axes=(None, 0, 0)))(theta, X, Y)
        return Dense(np.asarray(h), np.asarray(g), np.asarray(h - g))


class Example(NamedTuple):
    """One example: a_l, a_l with its one, d_l, p, S, and s^c and r carried back (c before l)."""

    a: list[Matrix]
    a_bar: list[Matrix]
    d: list[Matrix]
    p: Matrix
    root: Matrix
    s: list[list[Matrix]]
    delta: list[Matrix]

    def path(self, l: int, m: int) -> Matrix:
        """P, from z_l to a_m: Equation `path`."""
        p = np.diag(self.d[l])
        for k in range(l + 1, m):
            p = p @ W_BAR[k][:-1] @ np.diag(self.d[k])
        return p


def example(x: Matrix, y: int) -> Example:
    a, a_bar, d = [x], [], []
    for l in LAYERS:
        a_bar.append(np.append(a[l], 1.0))
        z = W_BAR[l].T @ a_bar[l]
        a.append(np.maximum(z, 0))
        d.append((z > 0).astype(float))
    p = np.exp(z) / np.exp(z).sum()
    root = np.diag(np.sqrt(p)) - np.outer(p, np.sqrt(p))
    s = [carried_back(root[:, c], d) for c in range(CLASSES)]
    return Example(a[:-1], a_bar, d, p, root, s, carried_back(p - np.eye(CLASSES)[y], d))


def carried_back(v: Matrix, d: list[Matrix]) -> list[Matrix]:
    """Equation `back`, for all layers."""
    carried = {LAYERS[-1]: v}
    for l in reversed(LAYERS[:-1]):
        carried[l] = d[l] * (W_BAR[l + 1][:-1] @ carried[l + 1])
    return [carried[l] for l in LAYERS]


BATCH = [example(x, y) for x, y in zip(X, Y, strict=True)]


def gram(l: int, i: int, j: int) -> float:
    """K_l[i, j]"""
    return BATCH[i].a_bar[l] @ BATCH[j].a_bar[l]


def of_g_and_g(i: int, j: int) -> float:
    """tr(G_i G_j): Equation `squares`."""
    total = 0.0
    for c, other in itertools.product(range(CLASSES), repeat=2):
        t = sum(gram(l, i, j) * (BATCH[i].s[c][l] @ BATCH[j].s[other][l]) for l in LAYERS)
        total += t**2
    return total


def of_r_and_r(i: int, j: int) -> float:
    """tr(R_i R_j): Equation `rest`."""
    total = 0.0
    for l, m in BLOCKS:
        paths = np.sum(BATCH[i].path(l, m) * BATCH[j].path(l, m))
        total += 2 * gram(l, i, j) * paths * (BATCH[i].delta[m] @ BATCH[j].delta[m])
    return total


def of_g_and_r(i: int, j: int) -> float:
    """tr(G_i R_j): Equation `crossed`."""
    total = 0.0
    for l, m in BLOCKS:
        through = BATCH[j].path(l, m) @ BATCH[i].a[m]
        for s in BATCH[i].s:
            total += 2 * gram(l, i, j) * (s[l] @ through) * (s[m] @ BATCH[j].delta[m])
    return total


def of_h_and_h(i: int, j: int) -> float:
    return of_g_and_g(i, j) + of_g_and_r(i, j) + of_g_and_r(j, i) + of_r_and_r(i, j)


@pytest.mark.parametrize(
    ("formula", "one", "other"),
    [
        (of_g_and_g, "g", "g"),
        (of_r_and_r, "r", "r"),
        (of_g_and_r, "g", "r"),
        (of_h_and_h, "h", "h"),
    ],
)
def test_a_product_of_two_examples(
    formula: Callable[[int, int], float], one: str, other: str, dense: Dense
) -> None:
    matrices, others = getattr(dense, one), getattr(dense, other)
    truth = [np.trace(matrices[i] @ others[j]) for i, j in PAIRS]
    assert np.abs(truth).min() > 1e-6
    np.testing.assert_allclose([formula(i, j) for i, j in PAIRS], truth, rtol=1e-9)


def test_the_trace_needs_no_pairs(dense: Dense) -> None:
    """Equation `tr-h`."""
    total = 0.0
    for i, l, c in itertools.product(range(EXAMPLES), LAYERS, range(CLASSES)):
        total += gram(l, i, i) * (BATCH[i].s[c][l] @ BATCH[i].s[c][l]) / EXAMPLES
    np.testing.assert_allclose(total, np.trace(dense.h.mean(0)), rtol=1e-10)


@pytest.mark.parametrize("i", range(EXAMPLES))
def test_the_matrices_of_an_example_by_the_lemmas(i: int, dense: Dense) -> None:
    """G_i from its columns, R_i from its blocks: zero within a layer, and for a bias after it."""
    one = BATCH[i]
    parts = [[np.outer(one.a_bar[l], s[l]).ravel() for l in LAYERS] for s in one.s]
    columns = [np.concatenate(part) for part in parts]
    np.testing.assert_allclose(sum(np.outer(g, g) for g in columns), dense.g[i], atol=1e-12)

    starts = np.cumsum([0, *(w.size for w in W_BAR)])
    rest = np.zeros_like(dense.r[i])
    for l, m in BLOCKS:
        block = np.zeros((*W_BAR[l].shape, *W_BAR[m].shape))
        for (alpha, beta), (gamma, epsilon) in itertools.product(
            np.ndindex(W_BAR[l].shape), np.ndindex(W_BAR[m][:-1].shape)
        ):
            path = one.path(l, m)[beta, gamma]
            block[alpha, beta, gamma, epsilon] = one.a_bar[l][alpha] * path * one.delta[m][epsilon]
        block = block.reshape(W_BAR[l].size, W_BAR[m].size)
        rest[starts[l] : starts[l + 1], starts[m] : starts[m + 1]] = block
        rest[starts[m] : starts[m + 1], starts[l] : starts[l + 1]] = block.T
    np.testing.assert_allclose(rest, dense.r[i], atol=1e-12)


def test_a_root_of_the_softmax_and_its_sketches() -> None:
    signs = [np.array(e) for e in itertools.product([-1, 1], repeat=CLASSES)]
    for one in BATCH:
        a = np.diag(one.p) - np.outer(one.p, one.p)
        np.testing.assert_allclose(one.root @ one.root.T, a, atol=1e-14)
        sketched = np.mean([np.outer(one.root @ e, one.root @ e) for e in signs], axis=0)
        np.testing.assert_allclose(sketched, a, atol=1e-14)


@pytest.mark.parametrize("i", range(EXAMPLES))
def test_a_square_of_sketches_needs_two_independent_ones(i: int) -> None:
    """Equation `sketches`, for an example that meets itself."""
    signs = [np.array(e) for e in itertools.product([-1, 1], repeat=CLASSES)]
    squares = np.zeros((len(signs), len(signs)))
    for one, other in itertools.product(range(len(signs)), repeat=2):
        s = carried_back(BATCH[i].root @ signs[one], BATCH[i].d)
        t = carried_back(BATCH[i].root @ signs[other], BATCH[i].d)
        squares[one, other] = sum(gram(l, i, i) * (s[l] @ t[l]) for l in LAYERS) ** 2
    truth = of_g_and_g(i, i)
    np.testing.assert_allclose(squares.mean(), truth, rtol=1e-10)
    trace = sum(gram(l, i, i) * (s[l] @ s[l]) for s in BATCH[i].s for l in LAYERS)
    assert np.diag(squares).mean() >= trace**2 * (1 - 1e-10) >= truth * (1 - 2e-10)


@pytest.mark.parametrize("vectors", ["unit vectors", "all signs"])
def test_a_far_path_from_vectors_carried_back(vectors: str) -> None:
    """Equation `far`, from the first layer to the last."""
    width = WIDTHS[2]
    us = list(np.eye(width))
    if vectors == "all signs":
        drawn = [np.array(u) for u in itertools.product([-1.0, 1.0], repeat=width)]
        us = [u / np.sqrt(len(drawn)) for u in drawn]
    for i, j in PAIRS:
        p, q, a = BATCH[i].path(0, 2), BATCH[j].path(0, 2), BATCH[i].a[2]
        np.testing.assert_allclose(sum((p @ u) @ (q @ u) for u in us), np.sum(p * q), atol=1e-12)
        np.testing.assert_allclose(sum((q @ u) * (u @ a) for u in us), q @ a, atol=1e-12)


def test_whose_curvature_a_mini_batch_s_is(dense: Dense) -> None:
    """Equations `batch` and `loss-target`, over all mini-batches of two of the examples."""
    h = dense.h.mean(0)
    whole = np.sum(h**2)
    spread = np.mean([np.sum((one - h) ** 2) for one in dense.h])
    of_batches, around, of_pairs, without = [], [], [], []
    for i, j in PAIRS:
        h_b = (dense.h[i] + dense.h[j]) / 2
        of_batches.append(np.sum(h_b**2))
        around.append(np.sum((h_b - h) ** 2))
        of_pairs.append(of_h_and_h(i, j))
        if i != j:
            without.append(of_h_and_h(i, j))
    np.testing.assert_allclose(np.mean(of_batches), whole + spread / 2, rtol=1e-10)
    np.testing.assert_allclose(np.mean(around), spread / 2, rtol=1e-10)
    np.testing.assert_allclose(np.mean(of_pairs), whole, rtol=1e-9)
    np.testing.assert_allclose(np.mean(without), whole - spread / (EXAMPLES - 1), rtol=1e-9)


def test_the_example_by_hand(quick_compilation: None) -> None:
    w, v, x, y = 0.7, -1.3, np.array([0.8, 1.9, -0.4]), np.array([1.0, 0.0, 1.0])
    p = 1 / (1 + np.exp(-v * np.maximum(w * x, 0)))
    a, r, on = p * (1 - p), p - y, w * x > 0

    def loss(theta: Any, x: Any, y: Any) -> Any:
        z = theta[1] * jax.nn.relu(theta[0] * x)
        return jnp.logaddexp(0.0, z) - y * z

    with jax.enable_x64(True):
        of_all = jax.jit(jax.vmap(jax.hessian(loss), in_axes=(None, 0, 0)))
        truth = np.asarray(of_all(np.array([w, v]), x, y))
    g = [a[i] * x[i] ** 2 * np.array([[v**2, v * w], [v * w, w**2]]) * on[i] for i in range(3)]
    rest = [r[i] * x[i] * np.array([[0, 1], [1, 0]]) * on[i] for i in range(3)]
    np.testing.assert_allclose(np.add(g, rest), truth, atol=1e-14)
    for i, j in itertools.product([0, 1], repeat=2):
        squares = a[i] * a[j] * x[i] ** 2 * x[j] ** 2 * (v**2 + w**2) ** 2
        np.testing.assert_allclose(np.trace(g[i] @ g[j]), squares, rtol=1e-12)
        np.testing.assert_allclose(np.trace(rest[i] @ rest[j]), 2 * r[i] * r[j] * x[i] * x[j])
        crossed = 2 * a[i] * r[j] * v * w * x[i] ** 2 * x[j]
        np.testing.assert_allclose(np.trace(g[i] @ rest[j]), crossed, rtol=1e-12)
        np.testing.assert_allclose(np.trace(truth[i]), a[i] * x[i] ** 2 * (v**2 + w**2))
