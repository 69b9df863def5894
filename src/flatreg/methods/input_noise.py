"""Training on inputs with normal noise, drawn anew on each step.

References:
    C. M. Bishop. Training with noise is equivalent to Tikhonov regularization. Neural Computation
    7(1), 1995. doi:10.1162/neco.1995.7.1.108.
"""

from __future__ import annotations

import jax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State
from flatreg.penalty.first_layer import dense


def input_noise() -> Method:
    """Input noise; `scale` is its standard deviation, in units of the inputs."""

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, scale: jax.Array
    ) -> Descent:
        x = dense(batch.x)
        noisy = x + scale * jax.random.normal(batch.key, x.shape, x.dtype)
        return inner(params, batch._replace(x=noisy))

    return Method(
        gradient=gradient,
        hyperparameters={"scale": Range(0.01, 1.0)},
        cost=1,
        reference="doi:10.1162/neco.1995.7.1.108",
    )
