"""Exponential moving average of the weights, which is evaluated in place of the last ones.

References:
    B. T. Polyak, A. B. Juditsky. Acceleration of stochastic approximation by averaging. SIAM Journal
    on Control and Optimization 30(4), 1992. doi:10.1137/0330046.
    D. Busbridge et al. How to scale your EMA. NeurIPS 2023. arXiv:2307.13813.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from flatreg.methods import Batch, Descent, Gradient, Method, Params, Range, State


class Average(NamedTuple):
    """The state of an average.

    Attributes:
        weights: sum over the steps so far, each weighted by its age; zeros before the first.
        total: sum of these weights, by which the average is corrected while it is young.
    """

    weights: Params
    total: jax.Array


def averaged() -> Method:
    """The average; `horizon` is the number of steps after which a weight counts 1/e."""

    def gradient(
        inner: Gradient, params: Params, batch: Batch, state: State, *, horizon: jax.Array
    ) -> Descent:
        del state, horizon
        return inner(params, batch)

    def start(params: Params) -> Average:
        return Average(optax.tree.zeros_like(params), jnp.float32(0))

    def advance(
        state: Average, params: Params, descent: Descent, *, horizon: jax.Array
    ) -> Average:
        del descent
        keep = jnp.exp(-1 / horizon)
        weights = jax.tree.map(
            lambda old, new: keep * old + (1 - keep) * new, state.weights, params
        )
        return Average(weights, keep * state.total + (1 - keep))

    def deploy(state: Average, params: Params) -> Params:
        young = state.total == 0
        return jax.tree.map(
            lambda mean, last: jnp.where(young, last, mean / jnp.where(young, 1, state.total)),
            state.weights,
            params,
        )

    return Method(
        gradient=gradient,
        hyperparameters={"horizon": Range(10, 1000)},
        cost=1,
        reference="doi:10.1137/0330046",
        start=start,
        advance=advance,
        deploy=deploy,
    )
