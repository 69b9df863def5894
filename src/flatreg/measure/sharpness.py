"""Measures of flatness other than curvature.

Some change when layers are rescaled without a change of the function (Dinh et al. 2017):
`flatreg.measure.rescaling` tests which.

References:
    P. Foret et al. Sharpness-aware minimization. 2021. arXiv:2010.01412.
    J. Kwon et al. ASAM: Adaptive sharpness-aware minimization. 2021. arXiv:2102.11600.
    M. Journee, Y. Nesterov, P. Richtarik, R. Sepulchre. Generalized power method for sparse
    principal component analysis. JMLR 11, 2010. (The ascent on a ball.)
    H. Petzka et al. Relative flatness and generalization. 2021. arXiv:2001.00939.
    T. Liang et al. Fisher-Rao metric, geometry, and complexity of neural networks. 2019.
    arXiv:1711.01530.
    L. Dinh et al. Sharp minima can generalize for deep nets. 2017. arXiv:1703.04933.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flatreg import models
from flatreg.config import MeasureSettings
from flatreg.measure.lanes import Lane, each

Params = Any
Loss = Callable[[Params], jax.Array]

# On the study's models the first step reaches most of the maximum, and the last adds nothing.
ASCENT_STEPS = 20


def of_models(
    model: nn.Module, lanes: Sequence[Lane], settings: MeasureSettings
) -> list[dict[str, float]]:
    """All measures by name of each lane; of a sharpness the radius follows the last underscore.

    Args:
        model: of `flatreg.models.build`.
        lanes: its parameters and examples.
        settings: with the radii.
    """
    places = [(lane.params, lane.x, lane.y) for lane in lanes]
    measured = {
        f"{name}_{radius:g}": each(function, (model,), [(*place, radius) for place in places])
        for name, (function, radii) in {
            "sam_sharpness": (_sam_sharpness, settings.sharpness_radii),
            "asam_sharpness": (_asam_sharpness, settings.adaptive_radii),
        }.items()
        for radius in radii
    }
    measured["relative_flatness"] = each(
        relative_flatness, (model,), [(params, x) for params, x, _ in places]
    )
    measured["fisher_rao_norm"] = each(fisher_rao_norm, (model,), places)
    return [
        {name: float(of_lanes[number]) for name, of_lanes in measured.items()}
        for number in range(len(lanes))
    ]


def _sam_sharpness(
    model: nn.Module, params: Params, x: jax.Array, y: jax.Array, radius: jax.Array
) -> jax.Array:
    ones = jax.tree.map(jnp.ones_like, params)
    return sharpness(_loss(model, x, y), params, ones, radius)


def _asam_sharpness(
    model: nn.Module, params: Params, x: jax.Array, y: jax.Array, radius: jax.Array
) -> jax.Array:
    return sharpness(_loss(model, x, y), params, jax.tree.map(jnp.abs, params), radius)


def _loss(model: nn.Module, x: jax.Array, y: jax.Array) -> Loss:
    return lambda params: models.loss_without_dropout(model, params, x, y)


def sharpness(loss: Loss, params: Params, scale: Params, radius: jax.Array) -> jax.Array:
    """The largest rise of the loss, in nats, at params + scale * u with |u| at most `radius`.

    Scale 1 gives SAM's sharpness (Foret et al. 2021, equation 1). The parameters' absolute values
    as scale give ASAM's (Kwon et al. 2021, equation 3, elementwise, without their added constant,
    which would not be invariant under a rescaling of layers).

    The ascent u -> radius * g / |g|, with the gradient g in u, begins with SAM's own step, and the
    loss rises wherever it is convex (Journee et al. 2010). The result is the highest loss on the
    way: a lower bound of the maximum, and 0 if each step falls or the gradient is 0.

    Args:
        loss: params -> [].
        params: any pytree.
        scale: like `params`, not negative.
        radius: above 0.
    """
    at_params = loss(params)

    def climb(u: Params, _: None) -> tuple[Params, jax.Array]:
        moved = jax.tree.map(lambda p, s, step: p + s * step, params, scale, u)
        value, gradient = jax.value_and_grad(loss)(moved)
        gradient = jax.tree.map(jnp.multiply, scale, gradient)
        size = _norm(gradient)
        length = jnp.where(size > 0, radius / jnp.where(size > 0, size, 1), 0)
        return jax.tree.map(lambda g: length * g, gradient), value

    start = jax.tree.map(jnp.zeros_like, params)
    _, losses = jax.lax.scan(climb, start, length=ASCENT_STEPS + 1)
    return jnp.maximum(jnp.max(losses) - at_params, 0)


@partial(jax.jit, static_argnums=0)
def relative_flatness(model: nn.Module, params: Params, x: jax.Array) -> jax.Array:
    """Relative flatness of the last layer (Petzka et al. 2021, definition 3).

    It is the sum over output neurons s, t of <w_s, w_t> tr(H_st), with the weights w_s into s and
    the second derivatives H_st by w_s and w_t. For a dense layer under cross-entropy, H_st is the
    mean over examples of phi phi^T (p_s [s = t] - p_s p_t), where phi is the layer's input. So the
    sum is the mean of |phi|^2 times the variance of w_s under p, in closed form.

    Args:
        model: whose last call of `nn.Dense` gives the logits, at least one.
        params: its parameters.
        x: inputs [n, d].
    """
    entering: list[jax.Array] = []
    kernels: list[jax.Array] = []

    def watch(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        output = call(*args, **kwargs)
        if isinstance(context.module, nn.Dense) and context.method_name == "__call__":
            entering.append(args[0])
            kernels.append(context.module.get_variable("params", "kernel"))
        return output

    with nn.intercept_methods(watch):
        logits = model.apply({"params": params}, x, train=False)
    phi, kernel = entering[-1], kernels[-1]
    return jnp.mean(jnp.sum(phi**2, axis=1) * _variance_of_weights(logits, kernel))


def _variance_of_weights(logits: jax.Array, kernel: jax.Array) -> jax.Array:
    """The sum over s, t of <w_s, w_t> times the derivative of p_s by logit t: [n]."""
    if logits.shape[1] == 1:
        # Not 1 - p, which is rounding or 0 where the model is sure.
        p, other = jax.nn.sigmoid(logits[:, 0]), jax.nn.sigmoid(-logits[:, 0])
        return p * other * jnp.sum(kernel**2)
    p = jax.nn.softmax(logits)
    # By pairs: a difference of two sums of squares is rounding where one class has nearly all of p.
    apart = jax.vmap(lambda w: jnp.sum((kernel - w[:, None]) ** 2, axis=0), in_axes=1)(kernel)
    return jnp.einsum("ns,st,nt->n", p, apart, p) / 2


@partial(jax.jit, static_argnums=0)
def fisher_rao_norm(model: nn.Module, params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    """Root of w^T I w, with I the mean of g g^T over examples (Liang et al. 2019).

    Args:
        model: of `flatreg.models.build`.
        params: w.
        x: inputs [n, d].
        y: labels [n].
    """

    def losses(params: Params) -> jax.Array:
        return models.task_losses(model.apply({"params": params}, x, train=False), y)

    _, along = jax.jvp(losses, (params,), (params,))
    return jnp.sqrt(jnp.mean(along**2))


def _norm(tree: Params) -> jax.Array:
    # Scaled by the largest entry: squares of tiny gradients would underflow to 0.
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)]))
    safe = jnp.where(largest > 0, largest, 1)
    squares = sum(jnp.sum((leaf / safe) ** 2) for leaf in jax.tree.leaves(tree))
    return largest * jnp.sqrt(squares)
