"""Elementwise activations: their slopes, whether they are piecewise linear, and their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from flatreg.penalty.errors import ModelError

Activation = Callable[[jax.Array], jax.Array]

# Inputs of an activation from almost 0 to far out, on both sides.
_MAGNITUDES = np.geomspace(1e-4, 1e2, 61, dtype=np.float32)
POINTS = np.concatenate([-_MAGNITUDES[::-1], _MAGNITUDES])

# Functions of jax.nn, the commonest first.
_NAMES = (
    *("relu", "leaky_relu", "relu6", "hard_tanh", "tanh", "gelu", "sigmoid", "silu", "softplus"),
    *("elu", "selu", "mish", "hard_sigmoid", "hard_silu", "log_sigmoid", "soft_sign"),
)


def value_and_slope(phi: Activation, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """An elementwise function and its derivative at each element of z."""
    return jax.jvp(phi, (z,), (jnp.ones_like(z),))


def check_activations(activations: Activation | Sequence[Activation], *, straight: bool) -> None:
    """Check activations at `POINTS`, also while a program is traced.

    Args:
        activations: one or several.
        straight: whether they have to be piecewise linear.

    Raises:
        ModelError: one is not elementwise, or not piecewise linear; the message names it.
    """
    for phi in [activations] if callable(activations) else activations:
        with jax.ensure_compile_time_eval():
            _check_elementwise(phi)
            if straight:
                check_straight(phi, jnp.asarray(POINTS))


def check_straight(phi: Activation, points: jax.Array) -> None:
    """Check that an activation's second derivative is 0 at some points.

    Raises:
        ModelError: it is not.
    """
    bend = value_and_slope(lambda z: value_and_slope(phi, z)[1], points)[1]
    if bool(jnp.any(bend != 0)):
        raise ModelError(
            "network.activation",
            f"{_name(phi)}, which is curved",
            "a piecewise linear function, such as relu; `gram` and `autodiff` fit this network,"
            ' and so does curvature="gauss_newton"',
        )


def _check_elementwise(phi: Activation) -> None:
    points = jnp.asarray(POINTS)
    together, alone = phi(points[None, :]), jax.vmap(phi)(points[:, None])[:, 0]
    if together.shape != (1, points.size) or not bool(jnp.allclose(together[0], alone)):
        expected = "a function of each element alone; `gram` and `autodiff` fit any network"
        raise ModelError("network.activation", f"{_name(phi)}, not elementwise", expected)


def _name(phi: Activation) -> str:
    return getattr(phi, "__name__", repr(phi))


def recognized(
    z: jax.Array, values: jax.Array, slopes: jax.Array, activation: Activation | None
) -> Activation | None:
    """The given function, or the first known one, that has these values and slopes at z."""
    if values.shape != z.shape:
        return None
    named = [getattr(jax.nn, name) for name in _NAMES]
    candidates = [activation] if activation else [*named, jnp.abs, *_two_slopes(z, values)]
    for phi in candidates:
        value, slope = value_and_slope(phi, z)
        if bool(jnp.allclose(value, values, 1e-5, 1e-6) & jnp.allclose(slope, slopes, 1e-5, 1e-6)):
            return phi
    return None


def _two_slopes(z: jax.Array, values: jax.Array) -> list[Activation]:
    """The functions with one kink at 0 that have these values on both sides, with either slope."""
    above, below = (
        float(values.ravel()[end(z)] / z.ravel()[end(z)]) for end in (jnp.argmax, jnp.argmin)
    )

    def piecewise(z: jax.Array) -> jax.Array:
        return jnp.where(z > 0, above * z, below * z)

    def from_zero(z: jax.Array) -> jax.Array:
        return jnp.where(z >= 0, above * z, below * z)

    return [piecewise, from_zero]
