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
from flatreg.penalty.manual_axes import Axes, axes_of_loss, vary, varying_axes
from flatreg.penalty.subset import Where, select

TARGET = "tr(H_b^2)"

Loss = Callable[..., jax.Array]


def autodiff(
    loss: Loss, *, probes: int = 5, distribution: str = "rademacher", where: Where | None = None
) -> Estimator:
    """Hutchinson's estimator over all parameters, or some of them; it fits any model.

    Args:
        loss: mean task loss of a batch, `loss(params, x, *labels, **arguments) -> []`.
        probes: number M of probe vectors.
        distribution: "rademacher" or "normal".
        where: the parameters that H is taken in; by default all. A tree of bools like `params`, or
            whose leaves stand for whole branches of it, or a function of a parameter's path, such
            as `lambda path: path.endswith("kernel")`; a path is "first/kernel". The gradient of
            loss and tr(H^2) is still with respect to all parameters.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
        ParameterError: at a call, `where` selects no parameters, or does not fit them.
    """
    hutchinson.check_probes(probes, distribution)

    def trace(params: Params, *batch: Any, key: jax.Array, **arguments: Any) -> jax.Array:
        product, chosen, axes = product_of_chosen(
            lambda params: loss(params, *batch, **arguments), params, where
        )
        return hutchinson.trace_of_square(
            product, chosen, key, probes=probes, distribution=distribution, axes=axes
        )

    return Estimator("autodiff", TARGET, lambda params, _: params, loss, trace)


def product_of_chosen(
    loss: Callable[[Params], jax.Array], params: Params, where: Where | None
) -> tuple[Callable[[Any], Any], Any, Axes]:
    """The map v -> H v in the parameters that `where` selects, and what probes are drawn for it.

    Returns:
        The map, the selected parameters, which have the structure of v, and the axes of
        `jax.shard_map` over which the loss varies.
    """
    chosen, join = select(where, params)

    def of_chosen(chosen: Any) -> jax.Array:
        return loss(join(chosen))

    axes = axes_of_loss(of_chosen, chosen)
    chosen = vary(chosen, axes)
    return hessian_product(of_chosen, chosen), chosen, axes


def hessian_product(loss: Callable[[Params], jax.Array], params: Params) -> Callable[[Any], Any]:
    """The map v -> H v; the part that does not depend on v is computed once."""
    product = jax.linearize(jax.grad(loss), params)[1]

    def along(v: Any) -> Any:
        return product(jax.tree.map(lambda v, p: vary(v, varying_axes(p)), v, params))

    return along
