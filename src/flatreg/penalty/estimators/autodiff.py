"""tr(H^2) of any loss, by Hessian-vector products (forward over reverse).

References:
    B. A. Pearlmutter. Fast exact multiplication by the Hessian. Neural Computation 6(1), 1994.
    doi:10.1162/neco.1994.6.1.147.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from flatreg.penalty import hutchinson
from flatreg.penalty.estimator import Estimator, Params

Loss = Callable[..., jax.Array]


def autodiff(loss: Loss, *, probes: int = 5, distribution: str = "rademacher") -> Estimator:
    """Hutchinson's estimator over all parameters; it fits any model.

    Args:
        loss: mean task loss of a batch, `loss(params, x, *labels) -> []`.
        probes: number M of probe vectors.
        distribution: "rademacher" or "normal".

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
    """
    hutchinson.check_probes(probes, distribution)

    def trace(params: Params, *batch: Any, key: jax.Array) -> jax.Array:
        product = hessian_product(lambda p: loss(p, *batch), params)
        return hutchinson.trace_of_square(
            product, params, key, probes=probes, distribution=distribution
        )

    return Estimator("autodiff", lambda params, _: params, loss, trace)


def hessian_product(loss: Callable[[Params], jax.Array], params: Params) -> Callable[[Any], Any]:
    """The map v -> H v; the part that does not depend on v is computed once."""
    return jax.linearize(jax.grad(loss), params)[1]
