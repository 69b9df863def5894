"""Adversarial training: on inputs moved by the sign of the loss's gradient in them (FGSM).

References:
    I. J. Goodfellow, J. Shlens, C. Szegedy. Explaining and harnessing adversarial examples. ICLR
    2015. arXiv:1412.6572.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flatreg import models
from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State
from flatreg.objective import Objective
from flatreg.penalty.first_layer import dense


def adversarial(objective: Objective) -> Method:
    """FGSM; `size` is epsilon, how far each input is moved, in units of the inputs.

    The gradient that moves them is taken with dropout off.
    """

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, size: jax.Array
    ) -> Descent:
        def loss(x: jax.Array) -> jax.Array:
            return models.task_loss(objective.logits(params, x), batch.y)

        x = dense(batch.x)
        moved = x + size * jnp.sign(jax.grad(loss)(x))
        return inner(params, batch._replace(x=moved))

    return Method(
        gradient=gradient,
        hyperparameters={"size": Range(0.001, 0.3)},
        cost=2,
        reference="arXiv:1412.6572",
    )
