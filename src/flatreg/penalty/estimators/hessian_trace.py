"""tr(H) of any loss, by Hessian-vector products: E v.(H v) = tr(H).

The Hessian of a mean is the mean of the Hessians, so that an estimate is unbiased for the
mini-batch's tr(H_b) and, over independent examples, for tr(H) of the loss they are drawn from.

References:
    M. F. Hutchinson. A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines. Communications in Statistics: Simulation and Computation 19(2), 1990.
    doi:10.1080/03610919008812866.
"""

from __future__ import annotations

from typing import Any

import jax

from flatreg.penalty import hutchinson
from flatreg.penalty.estimator import Estimator, Params
from flatreg.penalty.estimators.autodiff import Loss, product_of_chosen
from flatreg.penalty.subset import Where

TARGET = "tr(H_b)"


def hessian_trace(
    loss: Loss, *, probes: int = 5, distribution: str = "rademacher", where: Where | None = None
) -> Estimator:
    """Hutchinson's estimator of tr(H), in units of loss / params^2; it fits any model.

    tr(H) may be negative, and so may an estimate: eigenvalues of H of both signs cancel in it. For
    a penalty that is never below zero take `gauss_newton_trace`, or tr(H^2).

    Args:
        loss: mean task loss of a batch, `loss(params, x, *labels, **arguments) -> []`.
        probes: number M of probe vectors.
        distribution: "rademacher", whose variance is the smaller one, or "normal".
        where: the parameters that H is taken in, as in `autodiff`; by default all.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
        ParameterError: at a call, `where` selects no parameters, or does not fit them.
    """
    hutchinson.check_probes(probes, distribution)

    def trace(params: Params, *batch: Any, key: jax.Array, **arguments: Any) -> jax.Array:
        product, chosen, axes = product_of_chosen(
            lambda params: loss(params, *batch, **arguments), params, where
        )
        return hutchinson.mean_over_probes(
            lambda v: hutchinson.dot(v, product(v), axes),
            chosen,
            key,
            probes=probes,
            distribution=distribution,
        )

    return Estimator("hessian_trace", TARGET, lambda params, _: params, loss, trace)
