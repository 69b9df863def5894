"""The spread of a random gradient around its mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flatreg.errors import UserError


class Truth(NamedTuple):
    """The mean of a random gradient, known exactly or as the mean of many draws.

    Attributes:
        mean: [parameters].
        squared_error: expected squared distance of `mean` from the truth; 0 if it is exact.
    """

    mean: np.ndarray
    squared_error: float = 0.0

    @property
    def size(self) -> float:
        """The truth's squared norm: to that of the mean, its own error has been added."""
        mean = self.mean.astype(np.float64)
        return float(mean @ mean - self.squared_error)


class Spread(NamedTuple):
    """Moments of a random gradient g around the truth t.

    Attributes:
        distance: E |g - t|^2.
        error: standard error of `distance` over the draws.
        bias: |E g - t|^2, estimated without bias, so that it may be negative.
        size: |t|^2.
    """

    distance: float
    error: float
    bias: float
    size: float


def averaged(gradients: Iterable[jax.Array]) -> Truth:
    """The mean of independent draws [parameters], at least two, with its squared error."""
    total, squares, count = np.float64(0), 0.0, 0
    for gradient in gradients:
        drawn = np.asarray(gradient, np.float64)
        total, squares, count = total + drawn, squares + drawn @ drawn, count + 1
    mean = total / count
    variance = (squares - count * mean @ mean) / (count - 1)
    return Truth(mean, float(variance / count))


def around(truth: Truth, gradients: Iterable[jax.Array]) -> Spread:
    """The spread of independent draws [parameters], at least two, none of which made the truth."""
    mean = jnp.asarray(truth.mean, jnp.float32)
    distances, total = [], jnp.float32(0)
    for gradient in gradients:
        distances.append(_squared_distance(gradient, mean))
        total = total + gradient
    distances = np.asarray(distances, np.float64)
    count, distance = len(distances), distances.mean()
    off = float(_squared_distance(total / count, mean))
    variance = (distance - off) * count / (count - 1)
    return Spread(
        distance=float(distance - truth.squared_error),
        error=float(distances.std(ddof=1) / np.sqrt(count)),
        bias=float(off - variance / count - truth.squared_error),
        size=truth.size,
    )


def pooled(spreads: list[Spread]) -> dict[str, float]:
    """Over several truths, relative to their mean squared norm.

    Returns:
        E |g - t|^2 / |t|^2 (`spread`), its standard error over the draws (`error`), and the part
        of it that is bias (`bias`).

    Raises:
        UserError: a truth's own error is as large as its norm.
    """
    size = np.mean([one.size for one in spreads])
    if size <= 0:
        raise UserError("the mean of the draws is lost in its error; take more of them as truth")
    return {
        "spread": float(np.mean([one.distance for one in spreads]) / size),
        "error": float(np.linalg.norm([one.error for one in spreads]) / len(spreads) / size),
        "bias": float(np.mean([one.bias for one in spreads]) / size),
    }


@jax.jit
def _squared_distance(one: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.sum((one - other) ** 2)
