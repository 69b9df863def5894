"""Lines and planes through parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg.measure import landscape

PARAMS = {
    "kernel": jnp.arange(1.0, 7.0).reshape(3, 2),
    "bias": jnp.array([0.5, -0.5]),
}


def norm(params: Any) -> Any:
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))


def test_each_filter_has_the_length_of_the_parameters_and_biases_rest() -> None:
    direction = landscape.random_direction(PARAMS, jax.random.key(0))
    done = landscape.filter_normalize(direction, PARAMS)
    for column in range(2):
        length = np.linalg.norm(done["kernel"][:, column])
        np.testing.assert_allclose(length, np.linalg.norm(PARAMS["kernel"][:, column]), rtol=1e-6)
        cosine = done["kernel"][:, column] @ direction["kernel"][:, column]
        np.testing.assert_allclose(
            cosine / length / np.linalg.norm(direction["kernel"][:, column]), 1, rtol=1e-6
        )
    assert np.all(done["bias"] == 0)


def test_a_line_ends_at_its_ends() -> None:
    other = jax.tree.map(lambda leaf: -2 * leaf, PARAMS)
    done = landscape.along_line(norm, PARAMS, other, jnp.array([0.0, 1.0, 2.0]))
    expected = [norm(PARAMS), 4 * norm(PARAMS), 25 * norm(PARAMS)]
    np.testing.assert_allclose(done, expected, rtol=1e-6)


def test_a_plane_has_its_centre_in_the_middle_and_y_first() -> None:
    first = jax.tree.map(jnp.zeros_like, PARAMS) | {"bias": jnp.array([1.0, 0.0])}
    second = jax.tree.map(jnp.zeros_like, PARAMS) | {"bias": jnp.array([0.0, 1.0])}
    coordinates = jnp.array([-1.0, 0.0, 1.0])
    done = landscape.on_plane(
        lambda p: p["bias"][0] + 10 * p["bias"][1], PARAMS, first, second, coordinates
    )
    assert done[1, 1] == 0.5 - 5
    np.testing.assert_allclose(done[1, 2] - done[1, 1], 1)
    np.testing.assert_allclose(done[2, 1] - done[1, 1], 10)
