"""tr(G^2), G the Gauss-Newton part of H, of any model and any loss of its logits.

With the logits z(theta) of a batch, their Jacobian J, and the Hessian A of the loss in them,

    H = G + R,   G = J^T A J,   R = sum_i (dL / dz_i) (Hessian of z_i).

G v is J v forward, A u in the logits, and J^T w back, and E ||G v||^2 = tr(G^2) over probes v. G
leaves out the model's own curvature R, and has no negative eigenvalues where the loss is convex in
the logits, such as a cross-entropy.

References:
    N. N. Schraudolph. Fast curvature matrix-vector products for second-order gradient descent.
    Neural Computation 14(7), 2002. doi:10.1162/08997660260028683.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flatreg.penalty import hutchinson
from flatreg.penalty.errors import ModelError
from flatreg.penalty.estimator import Estimator, Params, described, named
from flatreg.penalty.estimators.autodiff import Loss, hessian_product
from flatreg.penalty.manual_axes import Axes, axes_of_loss, vary, varying_axes
from flatreg.penalty.subset import Where, select

TARGET = "tr(G_b^2)"

Model = Callable[..., Any]


def gauss_newton(
    logits: Model,
    loss: Loss,
    *,
    probes: int = 5,
    distribution: str = "rademacher",
    where: Where | None = None,
) -> Estimator:
    """Hutchinson's estimator of the mini-batch's tr(G^2), in units of loss^2 / params^4.

    Args:
        logits: the model, `logits(params, x, **arguments)`: an array or a tree of them.
        loss: mean task loss, `loss(logits, *labels, **arguments) -> []`. It takes the keyword
            arguments that it names in its signature, the model all others.
        probes: number M of probe vectors.
        distribution: "rademacher" or "normal".
        where: the parameters that G is taken in, as in `autodiff`; by default all.

    Raises:
        ProbeError: M is below 1, or the distribution is unknown.
        ModelError: at a call, the logits are not floating-point numbers.
        ParameterError: at a call, `where` selects no parameters, or does not fit them.
    """
    hutchinson.check_probes(probes, distribution)

    def trace(params: Params, x: Any, *labels: Any, key: jax.Array, **arguments: Any) -> jax.Array:
        g = factors(logits, loss, where, params, x, *labels, **arguments)
        return hutchinson.trace_of_square(
            lambda v: g.back(g.curvature(g.forward(v))),
            g.chosen,
            key,
            probes=probes,
            distribution=distribution,
            axes=g.axes,
        )

    whole = loss_of_params(logits, loss)
    return Estimator("gauss_newton", TARGET, lambda params, _: params, whole, trace)


class Factors(NamedTuple):
    """The factors of G = J^T A J as products.

    Attributes:
        forward: v -> J v, from the selected parameters to the logits.
        curvature: u -> A u, in the logits.
        back: w -> J^T w, from the logits to the selected parameters.
        chosen: the selected parameters.
        axes: of `jax.shard_map`, over which the loss varies.
    """

    forward: Callable[[Any], Any]
    curvature: Callable[[Any], Any]
    back: Callable[[Any], Any]
    chosen: Any
    axes: Axes


def factors(
    logits: Model,
    loss: Loss,
    where: Where | None,
    params: Params,
    x: Any,
    *labels: Any,
    **arguments: Any,
) -> Factors:
    """The factors of G in the parameters that `where` selects."""
    chosen, join = select(where, params)
    of_loss, of_model = _shared_out(loss, arguments)

    def model(chosen: Any) -> Any:
        return logits(join(chosen), x, **of_model)

    def of_logits(z: Any) -> jax.Array:
        return loss(z, *labels, **of_loss)

    axes = axes_of_loss(lambda chosen: of_logits(model(chosen)), chosen)
    chosen = vary(chosen, axes)
    z, forward, back = jacobian_products(model, chosen)
    return Factors(forward, hessian_product(of_logits, z), back, chosen, axes)


def jacobian_products(
    model: Callable[[Any], Any], params: Any
) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
    """The logits z, and the maps v -> J v and w -> J^T w; the model is computed once."""
    z, forward = jax.linearize(model, params)
    back = jax.linear_transpose(forward, params)

    def along(v: Any) -> Any:
        return forward(jax.tree.map(lambda v, p: vary(v, varying_axes(p)), v, params))

    return z, along, lambda w: back(w)[0]


def loss_of_params(logits: Model, loss: Loss) -> Loss:
    """The mean task loss as a function of the parameters: `f(params, x, *labels, **arguments)`.

    Raises:
        ModelError: at a call, the logits are not floating-point numbers.
    """

    def whole(params: Params, x: Any, *labels: Any, **arguments: Any) -> jax.Array:
        of_loss, of_model = _shared_out(loss, arguments)
        z = logits(params, x, **of_model)
        for leaf in jax.tree.leaves(z):
            if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
                found = f"a function that returns {described(leaf)}"
                raise ModelError("logits", found, "one that returns floating-point numbers")
        return loss(z, *labels, **of_loss)

    return whole


def _shared_out(loss: Loss, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keyword arguments that the loss names, and the others, which are the model's."""
    names = named(loss) & arguments.keys()
    return (
        {name: arguments[name] for name in names},
        {name: arguments[name] for name in arguments if name not in names},
    )
