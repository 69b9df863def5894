"""The penalty: the gradient of weight * tr(H^2), or of whatever else the estimator estimates.

H is the Hessian of the mini-batch's task loss, dropout off. `flatreg.penalty` has the estimators.
"""

from __future__ import annotations

import jax
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State
from flatreg.objective import Objective


def penalty(objective: Objective, *, decoupled: bool = False) -> Method:
    """The penalty; `weight` is that of the estimate in the loss, such as lambda / B.

    Args:
        objective: of the training, whose estimator it uses.
        decoupled: whether its gradient stays outside the optimizer, as weight decay does in AdamW.
    """

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, weight: jax.Array
    ) -> Descent:
        here = inner(params, batch)

        def trace(params: Params) -> jax.Array:
            return objective.estimator(params, batch.x, batch.y, key=batch.key)

        estimate, slope = jax.value_and_grad(trace)(params)
        added = optax.tree.scale(weight, slope)
        here = here._replace(estimate=estimate, applied=True)
        if decoupled:
            return here._replace(beside=added)
        return here._replace(gradient=optax.tree.add(here.gradient, added))

    return Method(
        gradient=gradient,
        hyperparameters={"weight": Range(1e-6, 1e-1)},
        cost=4,
        reference="Flat is the New Sharp, under review",
    )
