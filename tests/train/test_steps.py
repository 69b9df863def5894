"""Which steps of an epoch have the penalty, against a count of all steps of the run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flatreg.train import steps
from flatreg.train.steps import Carry, Fixed, Step, Streams


def marking(mark: int) -> Step:
    """A step that writes `mark` at its own place of the run."""

    def step(fixed: Fixed, carry: Carry) -> Carry:
        done = carry.sums.step
        marks = carry.params.at[done].add(mark)
        return carry._replace(params=marks, sums=carry.sums._replace(step=done + 1))

    return step


def fixed(count: int, first: int) -> Fixed:
    none: Any = ()
    rates = jnp.zeros(count, jnp.float32)
    return Fixed(none, none, rates, none, jnp.int32(first), none, Streams(none, none))


@pytest.mark.parametrize("count", [1, 4, 7, 12])
@pytest.mark.parametrize("interval", [1, 2, 3, 4, 5, 10, 30])
def test_the_penalty_is_on_the_steps_that_the_interval_divides(count: int, interval: int) -> None:
    """Over five epochs, no step is left out or taken twice."""
    epochs = 5
    run = jax.jit(steps.epoch_in_groups(marking(1), marking(100), interval))
    marks = jnp.zeros(epochs * count, jnp.int32)
    for epoch in range(epochs):
        first = epoch * count
        marks, *_ = run(fixed(count, first), Carry(marks, (), steps.no_sums(first)))
    expected = [1 if number % interval else 100 for number in range(1, epochs * count + 1)]
    np.testing.assert_array_equal(marks, expected)


def test_groups_have_no_condition() -> None:
    """On a GPU a condition in a loop costs as much as its dearer branch."""
    carry = Carry(jnp.zeros(12, jnp.int32), (), steps.no_sums(0))
    run = steps.epoch_in_groups(marking(1), marking(100), 5)
    assert "cond[" not in str(jax.make_jaxpr(run)(fixed(12, 0), carry))
