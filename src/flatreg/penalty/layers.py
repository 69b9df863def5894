"""Where in a model tr(H^2) lies: its parts by layer.

The products H v of the probes hold more than their norm. With the rows H_l of the parameters of
one leaf,

    E ||(H v)_l||^2 = ||H_l||_F^2,   sum_l ||H_l||_F^2 = ||H||_F^2 = tr(H^2),

and as H is symmetric, ||H_l||_F is that of its columns too. A block of H between two leaves counts
half for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.penalty import hutchinson
from flatreg.penalty.estimator import Params, check_arguments
from flatreg.penalty.estimators.autodiff import Loss, autodiff, product_of_chosen


def by_layer(
    loss: Loss, *, probes: int = 5, distribution: str = "rademacher"
) -> Callable[..., Params]:
    """The parts of the mini-batch's tr(H^2), one for each leaf of the parameters.

    Each is unbiased, and together they are what `autodiff` estimates from the same key. The part of
    a layer is the sum over its leaves, such as kernel and bias.

    Args:
        loss: mean task loss of a batch, `loss(params, x, *labels, **arguments) -> []`.
        probes: number M of probe vectors.
        distribution: "rademacher" or "normal".

    Returns:
        `f(params, x, *labels, key=key, **arguments)`: a tree like `params`, of numbers, shape [],
        in units of loss^2 / params^4. A call raises the errors of an `Estimator`.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
    """
    whole = autodiff(loss, probes=probes, distribution=distribution)

    def parts(params: Params, x: Any, *labels: Any, key: jax.Array, **arguments: Any) -> Params:
        check_arguments(whole, params, x, *labels, **arguments)
        product, like, axes = product_of_chosen(
            lambda params: loss(params, x, *labels, **arguments), params, None
        )
        found = hutchinson.mean_over_probes(
            lambda v: jnp.stack(hutchinson.squared_norms(product(v), axes)),
            like,
            key,
            probes=probes,
            distribution=distribution,
        )
        return jax.tree.unflatten(jax.tree.structure(params), list(found))

    return parts
