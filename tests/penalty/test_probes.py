"""Random signs unpacked from words are independent and fair."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flatreg.penalty import hutchinson

COUNT = 1 << 16


def drawn_signs(key: int = 0) -> np.ndarray:
    return np.asarray(hutchinson.signs(jax.random.key(key), (COUNT,), jnp.float32))


def test_signs_are_signs_and_fair() -> None:
    drawn = drawn_signs()
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    assert abs(drawn.mean()) < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize("lag", [1, 2, 31, 32, 33, 64, 1024])
def test_signs_are_uncorrelated_across_and_within_words(lag: int) -> None:
    drawn = drawn_signs()
    assert abs(np.mean(drawn[lag:] * drawn[:-lag])) < 4 / np.sqrt(COUNT - lag)


def test_each_bit_of_a_word_is_a_fair_sign() -> None:
    means = drawn_signs().reshape(-1, 32).mean(axis=0)
    assert np.all(np.abs(means) < 4.5 / np.sqrt(COUNT / 32))


def test_other_keys_give_other_signs() -> None:
    assert abs(np.mean(drawn_signs(0) * drawn_signs(1))) < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize("shape", [(), (1,), (31,), (5, 7), (2, 3, 4)])
def test_any_shape_and_type(shape: tuple[int, ...]) -> None:
    signs = hutchinson.signs(jax.random.key(0), shape, jnp.float32)
    assert signs.shape == shape
    assert signs.dtype == jnp.float32


@pytest.mark.parametrize("distribution", hutchinson.DISTRIBUTIONS)
def test_a_probe_has_the_tree_s_shapes_and_no_leaf_like_another(distribution: str) -> None:
    tree = {"a": jnp.zeros((64, 64)), "b": jnp.zeros((64, 64))}
    probe = hutchinson.draw(tree, jax.random.key(0), distribution)
    assert jax.tree.map(jnp.shape, probe) == jax.tree.map(jnp.shape, tree)
    assert abs(jnp.mean(probe["a"] * probe["b"])) < 4 / 64
