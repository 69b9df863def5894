"""The curvature of the cross-entropy in the logits, for a sigmoid and a softmax.

With the predicted probabilities p of an example, its curvature is A = p (1 - p) for one logit and
A = diag(p) - p p^T for C logits. Neither depends on the label.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def curvature_along(logits: jax.Array, u: jax.Array) -> jax.Array:
    """A_i u_i of each example, in the shape of the logits: [B, 1] (sigmoid) or [B, C] (softmax)."""
    if logits.shape[1] == 1:
        p = jax.nn.sigmoid(logits)
        return p * (1 - p) * u
    p = jax.nn.softmax(logits)
    return p * (u - jnp.sum(p * u, axis=1, keepdims=True))


def curvature_products(logits: jax.Array) -> jax.Array:
    """tr(A_i A_j) [B, B] from logits [B, 1] (sigmoid) or [B, C] (softmax)."""
    if logits.shape[1] == 1:
        p = jax.nn.sigmoid(logits[:, 0])
        a = p * (1 - p)
        return jnp.outer(a, a)
    p = jax.nn.softmax(logits)
    dots, cubes = p @ p.T, p**2 @ p.T
    return dots - cubes - cubes.T + dots**2


def curvature_root_along(logits: jax.Array, e: jax.Array) -> jax.Array:
    """S_i e_i of each example, with S_i S_i^T = A_i: S = diag(sqrt(p)) - p sqrt(p)^T.

    Computed from logarithms, so that no probability is rounded to 1.

    Args:
        logits: [B, 1] (sigmoid) or [B, C] (softmax).
        e: [k, B or 1, C]; e_i = the C unit vectors give the columns of S_i, and random signs give
            sketches s with E s s^T = A_i.

    Returns:
        [k, B, C]
    """
    logits = logits[None]
    if logits.shape[-1] == 1:
        return jnp.exp((jax.nn.log_sigmoid(logits) + jax.nn.log_sigmoid(-logits)) / 2) * e
    log_p = jax.nn.log_softmax(logits)
    root = jnp.exp(log_p / 2) * e
    return root - jnp.exp(log_p) * jnp.sum(root, -1, keepdims=True)
