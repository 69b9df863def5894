"""The networks whose penalty is measured for its precision, and the ways to compute it on each.

A way has a name, which ends in its number of probes or sketches after a comma, and an estimator,
whose `target` is what it estimates.
"""

from __future__ import annotations

from typing import NamedTuple

from matfree import stochtrace

from bench import models
from bench.jax_steps import LAYER, NETWORK, leave_one_out
from bench.models import Model, loss_of_logits
from bench.networks import Shape
from flatreg import penalty
from flatreg.penalty import Estimator

# Estimators by what they estimate, such as "tr(H_b^2)".
ByTarget = dict[str, Estimator]


class Problem(NamedTuple):
    """A network, its data, and how it is trained and measured.

    Attributes:
        dataset: name of its training examples.
        model: the network.
        batch: examples in a mini-batch.
        ways: estimators by name.
        exact: of all targets without any random numbers; empty if there are none.
        precise: of all targets; the mean of their draws is a truth where none is exact.
        epochs: of plain training. The dense networks' loss is then about that of the study's
            networks.
        learning_rate: of that training; of dense networks, as the study's search chose it.
        batches: given mini-batches.
        large: examples in a mini-batch of the draws whose mean is the truth of a loss; None if
            the truth is exact, from all pairs of training examples.
        dear: where a draw takes long, the factor by which fewer draws make a truth.
    """

    dataset: str
    model: Model
    batch: int
    ways: dict[str, Estimator]
    exact: ByTarget
    precise: ByTarget
    epochs: int
    learning_rate: float
    batches: int = 1
    large: int | None = None
    dear: int = 1


def of_dense(shape: Shape) -> dict[str, Estimator]:
    """The ways on dense layers.

    With one logit the softmax has nothing to sketch, and only the sign of the path over a layer is
    random: any number of sketches is the same way, and the exact one is cheap enough to be one.
    """
    model = models.dense(shape)
    loss, logits = model.loss, model.logits
    ways = {
        "gram, 1 probe": penalty.gram(LAYER, probes=1),
        "gram, 5 probes": penalty.gram(LAYER, probes=5),
        "autodiff, 1 probe": penalty.autodiff(loss, probes=1),
        "autodiff, 5 probes": penalty.autodiff(loss, probes=5),
        "XNysTrace, 3 probes": leave_one_out("XNysTrace", stochtrace.leave_one_out_xnystrace(), 3),
        "pairs, 2 sketches": of_pairs("batch", 2),
        "pairs of the loss, 1 sketch": of_pairs("loss", 1),
        "pairs of the loss, 2 sketches": of_pairs("loss", 2),
        "cross-batch, 5 probes": penalty.cross_batch(loss, probes=5),
        "pairs, Gauss-Newton, 2 sketches": of_pairs("batch", 2, "gauss_newton"),
        "Gauss-Newton, 1 probe": penalty.gauss_newton(logits, loss_of_logits, probes=1),
        "Gauss-Newton, 5 probes": penalty.gauss_newton(logits, loss_of_logits, probes=5),
        "pairs of the loss, Gauss-Newton, 1 sketch": of_pairs("loss", 1, "gauss_newton"),
    }
    if shape.outputs == 1:
        del ways["pairs of the loss, 2 sketches"]
        ways["pairs, exact"] = of_pairs("batch", None)
    return ways


def of_any_model(model: Model) -> dict[str, Estimator]:
    """The ways on a model that is known as a function alone."""
    loss = model.loss
    return {
        "autodiff, 1 probe": penalty.autodiff(loss, probes=1),
        "cross-batch of a quarter, 1 probe": penalty.cross_batch(loss, probes=1, stride=4),
        "cross-batch, 1 probe": penalty.cross_batch(loss, probes=1),
        "Gauss-Newton, 1 probe": penalty.gauss_newton(model.logits, loss_of_logits, probes=1),
    }


def of_pairs(target: str, sketches: int | None, curvature: str = "hessian") -> Estimator:
    """By pairs of examples; without a number of sketches, exact."""
    far = None if sketches is None else 1
    return penalty.pairs(NETWORK, probes=sketches, far=far, target=target, curvature=curvature)


def by_target(*found: Estimator) -> ByTarget:
    """Estimators by what they estimate; the last one counts."""
    return {one.target: one for one in found}


# Of dense layers, from all pairs of the examples.
EXACT = by_target(
    *(of_pairs(t, None, c) for c in ("hessian", "gauss_newton") for t in ("batch", "loss"))
)
PRECISE = by_target(
    penalty.gram(LAYER, probes=5),
    of_pairs("loss", 2),
    of_pairs("batch", 2, "gauss_newton"),
    of_pairs("loss", 2, "gauss_newton"),
)


def on_dense(
    dataset: str,
    shape: Shape,
    epochs: int,
    learning_rate: float,
    *,
    batches: int = 1,
    large: int | None = None,
) -> Problem:
    """One of the study's networks."""
    return Problem(
        dataset=dataset,
        model=models.dense(shape),
        batch=shape.batch,
        ways=of_dense(shape),
        exact=EXACT,
        precise=PRECISE,
        epochs=epochs,
        learning_rate=learning_rate,
        batches=batches,
        large=large,
    )


def on_pictures(model: Model, epochs: int, learning_rate: float) -> Problem:
    """A network of another kind on the pictures of CIFAR-100."""
    ways = of_any_model(model)
    return Problem(
        dataset="cifar100",
        model=model,
        batch=32,
        ways=ways,
        exact={},
        precise=by_target(*ways.values()),
        epochs=epochs,
        learning_rate=learning_rate,
        large=64,
        dear=4,
    )


PROBLEMS = {
    "breast_cancer": on_dense("breast_cancer", Shape(30, (512, 256), 1, 32), 6, 0.01, batches=8),
    "cifar100": on_dense("cifar100", Shape(), 5, 0.03, large=256),
    "cnn": on_pictures(models.convolutional(), 2, 0.03),
    "transformer": on_pictures(models.transformer(), 2, 0.03),
}
