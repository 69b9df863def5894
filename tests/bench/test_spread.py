"""Spreads of made-up gradients, whose mean and variance are known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from bench.spread import Truth, around, averaged, pooled
from flatreg.errors import UserError

MEAN = np.linspace(1, 2, 50)
# Of each entry; the squared distance of a draw from the mean is 50 times it.
VARIANCE = 0.5


def drawn(count: int, seed: int, shift: float = 0.0) -> list:
    """Normal gradients around MEAN, each entry shifted."""
    noise = np.random.default_rng(seed).normal(size=(count, 50)) * np.sqrt(VARIANCE)
    return [jnp.asarray(MEAN + shift + row, jnp.float32) for row in noise]


def test_the_mean_of_draws_knows_its_error() -> None:
    found = averaged(drawn(400, seed=0))
    assert found.squared_error == pytest.approx(50 * VARIANCE / 400, rel=0.05)
    errors = [np.sum((averaged(drawn(4, s)).mean - MEAN) ** 2) for s in range(1, 200)]
    assert np.mean(errors) == pytest.approx(50 * VARIANCE / 4, rel=0.1)


def test_the_spread_is_the_variance_over_the_mean_s_norm() -> None:
    found = pooled([around(Truth(MEAN), drawn(1000, seed=1))])
    expected = 50 * VARIANCE / (MEAN @ MEAN)
    assert abs(found["spread"] - expected) < 4 * found["error"] < 0.2 * expected
    assert abs(found["bias"]) < 0.01 * expected


def test_the_error_of_a_truth_is_neither_spread_nor_signal() -> None:
    """From truths of two draws each, the mean over many truths is right."""
    truths = [averaged(drawn(2, seed)) for seed in range(300)]
    found = pooled([around(truth, drawn(3, seed)) for seed, truth in enumerate(truths, 1000)])
    assert found["spread"] == pytest.approx(50 * VARIANCE / (MEAN @ MEAN), rel=0.1)
    assert abs(found["bias"]) < 0.02


def test_a_shifted_gradient_is_found_to_be_biased() -> None:
    found = around(Truth(MEAN), drawn(1000, seed=2, shift=0.3))
    assert found.bias == pytest.approx(50 * 0.3**2, rel=0.1)
    assert found.distance == pytest.approx(50 * (VARIANCE + 0.3**2), rel=0.1)


def test_a_truth_that_is_lost_in_its_error_is_one_line() -> None:
    lost = averaged(drawn(2, seed=0, shift=-1.5))._replace(squared_error=1e6)
    with pytest.raises(UserError, match="lost in its error; take more"):
        pooled([around(lost, drawn(2, seed=1))])
