"""tr(H^2) of the loss that a mini-batch is a sample of, from the two halves of the mini-batch.

With the Hessians H_a and H_b of the halves' mean losses,

    E (H_a v).(H_b v) = tr(H_a H_b)

over probes v. Halves of independent examples are independent, each with the mean H, so that
E tr(H_a H_b) = tr(H^2): without the spread between mini-batches E||H_b - H||_F^2, which is in
tr(H_b^2).

That also holds of a part of the mini-batch: with a stride, the penalty costs less, and varies more.

References:
    W. Hoeffding. A class of statistics with asymptotically normal distribution. Annals of
    Mathematical Statistics 19(3), 1948. doi:10.1214/aoms/1177730196. Its mean over all pairs of
    different examples is what the mean over all ways to halve a mini-batch is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.sparse import JAXSparse

from flatreg.penalty import hutchinson
from flatreg.penalty.errors import ArgumentError, BatchError
from flatreg.penalty.estimator import Estimator, Params, described, is_count
from flatreg.penalty.estimators.autodiff import Loss, product_of_chosen
from flatreg.penalty.subset import Where

TARGET = "tr(H^2)"


def cross_batch(
    loss: Loss,
    *,
    probes: int = 5,
    distribution: str = "rademacher",
    where: Where | None = None,
    stride: int = 1,
    per_example: Collection[str] = (),
) -> Estimator:
    """Hutchinson's estimator of tr(H_a H_b), in units of loss^2 / params^4; it fits any model.

    Unbiased for tr(H^2) of the expected loss, if examples are drawn independently; drawn without
    replacement from N they add a bias of order 1/N. One batch's estimate may be negative.

    A half is every other example of x and of the labels: trees of arrays with the examples along
    their first axis. A number, shape [], goes to both halves. Of an odd number of examples the
    first half has one more. With a stride of k, only every k-th example is in a half, and the cost
    of an estimate is a k-th.

    Args:
        loss: mean task loss of a batch, `loss(params, x, *labels, **arguments) -> []`, of a batch
            of any size.
        probes: number M of probe vectors; each is multiplied by both Hessians.
        distribution: "rademacher" or "normal".
        where: the parameters that H is taken in, as in `autodiff`; by default all.
        stride: use every so many-th example alone.
        per_example: names of the keyword arguments of the loss that have an entry for each example,
            such as a mask. They are halved with the batch; others go to both halves whole.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
        ArgumentError: the stride is no whole number of at least 1.
        ParameterError: at a call, `where` selects no parameters, or does not fit them.
        BatchError: at a call, there are not two examples to use, or not as many in each array.
    """
    hutchinson.check_probes(probes, distribution)
    if not is_count(stride):
        raise ArgumentError("stride", repr(stride), "a whole number of at least 1")

    def trace(params: Params, x: Any, *labels: Any, key: jax.Array, **arguments: Any) -> jax.Array:
        own = {name: part for name, part in arguments.items() if name in per_example}
        _check_examples(stride, {"x": x} | {f"labels[{i}]": y for i, y in enumerate(labels)} | own)

        def half(start: int) -> Any:
            batch, entries = _strided(((x, *labels), own), start, 2 * stride)
            return product_of_chosen(
                lambda params: loss(params, *batch, **arguments | entries), params, where
            )

        (one, chosen, axes), (other, *_) = half(0), half(stride)
        return hutchinson.mean_over_probes(
            lambda v: hutchinson.dot(one(v), other(v), axes),
            chosen,
            key,
            probes=probes,
            distribution=distribution,
        )

    return Estimator("cross_batch", TARGET, lambda params, _: params, loss, trace)


def _strided(tree: Any, start: int, step: int) -> Any:
    """Every step-th example, from `start` on.

    Not a first and a second part: padding at a batch's end and the examples of each device are
    shared evenly.
    """
    return jax.tree.map(
        lambda leaf: leaf[start::step] if jnp.ndim(leaf) else leaf, tree, is_leaf=_is_sparse
    )


def _check_examples(stride: int, parts: Mapping[str, Any]) -> None:
    """Check that all arrays have the same number of examples, at least one for each half."""
    found = {
        name + jax.tree_util.keystr(path): leaf
        for name, part in parts.items()
        for path, leaf in jax.tree.leaves_with_path(part, is_leaf=_is_sparse)
        if jnp.ndim(leaf)
    }
    if not found:
        raise BatchError("x", "without an array", "arrays with the examples along the first axis")
    first, *others = found
    examples = found[first].shape[0]
    if examples <= stride:
        least = "two" if stride == 1 else f"{stride + 1}"
        expected = f"at least {least} examples, one for each half"
        raise BatchError(first, described(found[first]), expected)
    for name in others:
        if found[name].shape[0] != examples:
            expected = f"{examples} examples along the first axis, as in {first}"
            raise BatchError(name, described(found[name]), expected)


def _is_sparse(part: Any) -> bool:
    return isinstance(part, JAXSparse)
