"""tr(H^2) of a network of dense layers, from products of pairs of examples.

With B examples, H = 1/B sum_i H_i, so that

    tr(H^2) = 1/B^2 sum_ij tr(H_i H_j),   H_i = G_i + R_i.

The layers are z_l = a_l W_l + b_l for l = 0 to L - 1, a_0 = x, a_{l+1} = phi(z_l), with slopes
d_l = phi'(z_l). K_l[i,j] = a_l,i . a_l,j, plus 1 if the layer has a bias. A vector at the logits is
carried back by v_l = (v_{l+1} W_{l+1}^T) d_l: delta is the residual p - y carried back, and s the
columns of a root S_i of the cross-entropy's curvature in the logits, S_i S_i^T = A_i.

G_i = J_i^T A_i J_i is the Gauss-Newton part. Its block between two layers is the outer product of
a_l,i s_l,i and a_m,i s_m,i, summed over the columns, so that

    tr(G_i G_j) = sum_cc' T[i,j]^2,   T = sum_l K_l[i,j] s_l,i . s_l,j.

R_i is the network's own curvature along the residual. Where phi is piecewise linear it has blocks
between different layers l < m only: a_l,i (x) P_i (x) delta_m,i, with the path
P_i = diag(d_l,i) W_{l+1} ... W_{m-1} diag(d_{m-1,i}) from z_l to a_m, so that

    tr(R_i R_j) = 2 sum_{l<m} K_l[i,j] <P_i, P_j> delta_m,i . delta_m,j
    tr(G_i R_j) = 2 sum_{l<m} K_l[i,j] sum_c (s_l,i^T P_j a_m,i) (s_m,i . delta_m,j).

For neighbours, m = l + 1, the path is diag(d_l). The longer paths are carried back from the unit
vectors of a_m, exactly, or from a few random signs u, E u u^T = I: from the same signs for all
examples in <P_i, P_j>, and from signs of each example's own in P_j u (u . a_m,i). The columns of a
softmax's root may be replaced by sketches S_i e with random signs e, E e e^T = I. The two sketches
in a square are independent, so that it has no bias either: they belong to two examples, or if
i = j, to two draws.

References:
    N. N. Schraudolph. Fast curvature matrix-vector products for second-order gradient descent.
    Neural Computation 14(7), 2002. doi:10.1162/08997660260028683: H = G + R.
    W. Hoeffding. A class of statistics with asymptotically normal distribution. Annals of
    Mathematical Statistics 19(3), 1948. doi:10.1214/aoms/1177730196: the mean over pairs i != j.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty import hutchinson
from flatreg.penalty.activations import check_activations, check_straight
from flatreg.penalty.cross_entropy import curvature_along, curvature_root_along
from flatreg.penalty.dense_layers import Coordinates, DenseLayers
from flatreg.penalty.errors import ArgumentError, BatchError, ModelError, ProbeError
from flatreg.penalty.estimator import Estimator, is_count, refuse_arguments
from flatreg.penalty.estimators.autodiff import hessian_product
from flatreg.penalty.estimators.gauss_newton import jacobian_products
from flatreg.penalty.pair_products import chain, column_products, directions, rest_products
from flatreg.penalty.subset import Where

# Of `target="batch"` and `curvature="hessian"`.
TARGET = "tr(H_b^2)"
NEEDS = "dense_chain"

_TARGETS = ("batch", "loss")
_CURVATURES = ("hessian", "gauss_newton")


def pairs(
    network: DenseLayers,
    *,
    probes: int | None = 2,
    far: int | None = 1,
    target: str = "batch",
    curvature: str = "hessian",
    where: Where | None = None,
) -> Estimator:
    """tr(H^2) of dense layers under a sigmoid or softmax, in units of loss^2 / params^4.

    One and two layers under a sigmoid need no random numbers, and nor do others with `probes=None,
    far=None`. The cost grows with K^2 B^2 times the sum of the layers' widths.

    Args:
        network: the layers; for `curvature="hessian"` with a piecewise linear activation.
        probes: number K of sketches of each example's softmax, its cost times K; None, or as many
            as there are logits, takes the C columns of its root instead: no variance.
        far: number of random signs for each path over one layer or more, of networks with three
            layers or more; None, or as many as the layer has units, takes all units: no variance,
            but B^2 products for each entry of the kernels passed over.
        target: "batch" for the mini-batch's tr(H^2), of all pairs of examples; "loss" for pairs of
            different ones, over B (B - 1): unbiased for tr(H^2) of the expected loss, if examples
            are drawn independently. One batch's value may be negative.
        curvature: "hessian", or "gauss_newton" for tr(G^2) alone, with any elementwise activation.
        where: the parameters that H is taken in, as of `autodiff`: kernels and biases, each as a
            whole; by default all. A layer that is left out costs no products.

    Raises:
        ParameterError: at a call, `where` selects no parameters, or a part of an array, or does
            not fit them.
        ArgumentError: `target` or `curvature` is unknown.
        ProbeError: `probes` or `far` is below 1; at a call, `target="batch"` with one sketch.
        ModelError: the activation is not elementwise, or curved. At a call, the layers are not
            split as `DenseLayers` says, or the loss has keyword arguments. In `check`, and at a
            call outside of jit and other transformations, the model is not a chain of these
            layers, or its loss not a mean cross-entropy.
        BatchError: at a call, a batch of one with `target="loss"`.
    """
    _check_options(probes, far, target, curvature)
    check_activations(network.activation, straight=curvature == "hessian")

    def trace(
        zeta: Coordinates, x: Any, *labels: Any, key: jax.Array, **arguments: Any
    ) -> jax.Array:
        refuse_arguments("network.loss", arguments)
        layers = chain(network, zeta, x)
        examples, width = layers.logits.shape
        drawn = probes is not None and probes < width
        _check_batch(examples, probes, target, drawn)
        classes, paths = jax.random.split(key)
        dtype = layers.logits.dtype
        e = directions(classes, probes, examples=examples, width=width, dtype=dtype)
        root = curvature_root_along(layers.logits, e.swapaxes(0, 1))
        if curvature == "hessian":
            residual = examples * jax.grad(network.loss)(layers.logits, *labels)
            columns, delta = layers.back_both(root, residual)
            rest = rest_products(layers, columns, delta, far, paths)
            total = jnp.sum(_counted(examples, target, dtype) * rest)
        else:
            columns, total = layers.back(root), 0.0
        weights = _weights(e.shape[1], examples, target, drawn, dtype)
        total += jnp.sum(weights * column_products(layers, columns) ** 2)
        return total / (examples * (examples - (target == "loss")))

    def verify(zeta: Coordinates, x: Any, *labels: Any, key: jax.Array) -> None:
        _verify(network, curvature, zeta, x, labels, key)

    matrix = "H" if curvature == "hessian" else "G"
    named = f"tr({matrix}_b^2)" if target == "batch" else f"tr({matrix}^2)"
    enter = partial(network.enter, where=where)
    return Estimator("pairs", named, enter, network.loss_at, trace, verify)


def _check_options(probes: Any, far: Any, target: str, curvature: str) -> None:
    for name, value in (("probes", probes), ("far", far)):
        if value is not None and not is_count(value):
            raise ProbeError(name, repr(value), "None, or a whole number of at least 1")
    for name, value, known in (
        ("target", target, _TARGETS),
        ("curvature", curvature, _CURVATURES),
    ):
        if value not in known:
            raise ArgumentError(name, repr(value), f"one of {', '.join(known)}")


def _check_batch(examples: int, probes: int | None, target: str, drawn: bool) -> None:
    if target == "loss" and examples < 2:
        raise BatchError("x", "one example", 'at least two: target="loss" is of pairs')
    if target == "batch" and drawn and probes == 1:
        expected = 'at least 2 for target="batch", where an example meets itself'
        raise ProbeError("probes", "1", expected)


def _counted(examples: int, target: str, dtype: Any) -> jax.Array:
    """[B, B]: 1 for each pair of examples that the target counts, else 0."""
    every = jnp.ones((examples, examples), dtype)
    return every - jnp.eye(examples, dtype=dtype) if target == "loss" else every


def _weights(count: int, examples: int, target: str, drawn: bool, dtype: Any) -> jax.Array:
    """[k or 1, B, k or 1, B]: the weights of the columns' squared products.

    An example meets itself in different sketches only: a sketch's square with itself is biased.
    """
    counted = _counted(examples, target, dtype)[None, :, None, :]
    if target == "loss" or not drawn:
        return counted
    other = (1 - jnp.eye(count, dtype=dtype)) * count / (count - 1)
    itself = jnp.eye(examples, dtype=dtype)[None, :, None, :]
    return counted + itself * (other[:, None, :, None] - 1)


def _verify(
    network: DenseLayers, curvature: str, zeta: Coordinates, x: Any, labels: Any, key: jax.Array
) -> None:
    """Compare one product of H, or G, by `autodiff` on the model with the assumed one.

    Raises:
        ModelError: they differ, or an activation is curved on this batch.
    """
    passed = network.forward(zeta)
    if curvature == "hessian":
        for phi, z in zip(network.activations(len(zeta[1])), passed.outputs, strict=True):
            check_straight(phi, z)

    @jax.jit
    def products(zeta: Coordinates, v: Any) -> list[list[jax.Array]]:
        found = _found(network, curvature, zeta, x, labels)(v)
        return [jax.tree.leaves(p) for p in (found, _assumed(network, curvature, zeta, labels)(v))]

    with jax.default_matmul_precision("highest"):
        found, assumed = products(zeta, hutchinson.draw(zeta, key, "normal"))
    largest = max(float(jnp.linalg.norm(leaf)) for leaf in found)
    for one, other in zip(found, assumed, strict=True):
        rough = max(1e-3, 4 * float(jnp.finfo(one.dtype).eps))
        allowed = rough * jnp.linalg.norm(one) + 1e-3 * rough * largest
        if not bool(jnp.linalg.norm(one - other) <= allowed):
            raise ModelError(
                "network",
                "another function than its layers and activation, or under another loss",
                "these layers one after another, and the mean cross-entropy of a sigmoid ([B, 1])"
                " or a softmax ([B, C]); `gram` and `autodiff` fit any loss",
            )


def _found(
    network: DenseLayers, curvature: str, zeta: Coordinates, x: Any, labels: Any
) -> Callable[[Any], Any]:
    """The product of the model's own H, or of G with the loss's own curvature."""
    if curvature == "hessian":
        return hessian_product(lambda at: network.loss_at(at, x, *labels), zeta)
    of_loss = hessian_product(lambda z: network.loss(z, *labels), network.logits(zeta, x))
    _, forward, back = jacobian_products(lambda at: network.logits(at, x), zeta)
    return lambda v: back(of_loss(forward(v)))


def _assumed(
    network: DenseLayers, curvature: str, zeta: Coordinates, labels: Any
) -> Callable[[Any], Any]:
    """The product of G + R, or G, of the layers under a cross-entropy."""

    def layers(at: Coordinates) -> jax.Array:
        return network.forward(at).logits

    logits, forward, back = jacobian_products(layers, zeta)

    def gauss_newton(v: Any) -> Any:
        return back(curvature_along(logits, forward(v)) / logits.shape[0])

    if curvature == "gauss_newton":
        return gauss_newton
    residual = jax.grad(network.loss)(logits, *labels)
    rest = hessian_product(lambda at: jnp.vdot(residual, layers(at)), zeta)
    return lambda v: jax.tree.map(jnp.add, gauss_newton(v), rest(v))
