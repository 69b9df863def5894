"""tr(G), G = J^T A J the Gauss-Newton part of H, of any model and any loss of its logits.

With the letters of `flatreg.penalty.estimators.gauss_newton`, over probes v of the parameters

    E (J v).(A J v) = tr(G).

G v itself is not needed: a probe is carried forward to the logits, and not back. As the Hessian,
G is a mean over examples, so that an estimate is unbiased for the mini-batch's tr(G_b) and, over
independent examples, for tr(G) of the loss they are drawn from.

References:
    N. N. Schraudolph. Fast curvature matrix-vector products for second-order gradient descent.
    Neural Computation 14(7), 2002. doi:10.1162/08997660260028683.
"""

from __future__ import annotations

from typing import Any

import jax

from flatreg.penalty import hutchinson
from flatreg.penalty.estimator import Estimator, Params
from flatreg.penalty.estimators.autodiff import Loss
from flatreg.penalty.estimators.gauss_newton import Model, factors, loss_of_params
from flatreg.penalty.subset import Where

TARGET = "tr(G_b)"


def gauss_newton_trace(
    logits: Model,
    loss: Loss,
    *,
    probes: int = 5,
    distribution: str = "rademacher",
    where: Where | None = None,
) -> Estimator:
    """Hutchinson's estimator of tr(G), in units of loss / params^2; it fits any model.

    No estimate is below zero where the loss is convex in the logits.

    Args:
        logits: the model, `logits(params, x, **arguments)`: an array or a tree of them.
        loss: mean task loss, `loss(logits, *labels, **arguments) -> []`. It takes the keyword
            arguments that it names in its signature, the model all others.
        probes: number M of probe vectors.
        distribution: "rademacher", whose variance is the smaller one, or "normal".
        where: the parameters that G is taken in, as in `autodiff`; by default all.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
        ModelError: at a call, the logits are not floating-point numbers.
        ParameterError: at a call, `where` selects no parameters, or does not fit them.
    """
    hutchinson.check_probes(probes, distribution)

    def trace(params: Params, x: Any, *labels: Any, key: jax.Array, **arguments: Any) -> jax.Array:
        g = factors(logits, loss, where, params, x, *labels, **arguments)

        def along(v: Any) -> jax.Array:
            u = g.forward(v)
            return hutchinson.dot(u, g.curvature(u), g.axes)

        return hutchinson.mean_over_probes(
            along, g.chosen, key, probes=probes, distribution=distribution
        )

    whole = loss_of_params(logits, loss)
    return Estimator("gauss_newton_trace", TARGET, lambda params, _: params, whole, trace)
