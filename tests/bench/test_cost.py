"""All estimators in the bench compute the same penalty, and its counts and ratios are right."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench import cost, jax_steps, networks
from bench.cost import ABOUT, NETWORKS
from bench.networks import Shape
from bench.turns import TORCH_PENALIZED, TORCH_PLAIN, ratios, rounds, take_turns

pytestmark = pytest.mark.usefixtures("quick_compilation")

SMALL = Shape(inputs=6, hidden=(4, 3), outputs=3, batch=5, probes=5)


def on_small_network(estimator):
    """Value and gradient of an estimator's tr(H^2) on the small network."""
    x, y = map(jnp.asarray, networks.batch(SMALL))
    params = jax.tree.map(jnp.asarray, networks.parameters(SMALL))
    return jax.value_and_grad(lambda p: estimator(p, x, y, key=jax.random.key(3)))(params)


def test_the_original_s_way_is_autodiff_s_number() -> None:
    found = jax_steps.estimators(SMALL)
    theirs = on_small_network(found["reverse over reverse"])
    ours = on_small_network(found["autodiff"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), theirs, ours)


def test_matfree_estimates_the_same_number() -> None:
    value, _ = on_small_network(jax_steps.through_matfree(20_000))
    other, _ = on_small_network(jax_steps.reverse_over_reverse(20_000))
    assert float(value) == pytest.approx(float(other), rel=0.05)


def test_every_way_takes_a_step_on_every_kind_of_network() -> None:
    for shape in (SMALL, Shape(8, (), 3, 4, 2), Shape(8, (), 1, 4, 2)):
        for step in jax_steps.steps(shape).values():
            step()
    for step in jax_steps.steps_on_texts(Shape(30, (), 3, 4), words=7).values():
        step()


def test_no_way_needs_less_than_its_largest_product() -> None:
    for name in ("plain", "autodiff", "gram"):
        assert jax_steps.working_bytes(Shape(300, (50,), 3, 40, 2), name) >= 4 * 40 * 50


def test_texts_have_so_many_words() -> None:
    x = networks.texts(Shape(30, (), 3, 4), words=7)
    assert np.all((x > 0).sum(axis=1) == 7)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-6)


def test_products_are_counted_inside_of_programs() -> None:
    def program(a, b):
        return jax.jit(jnp.matmul)(a, b).sum() + jnp.vdot(a, a)

    jaxpr = jax.make_jaxpr(program)(jnp.ones((2, 3)), jnp.ones((3, 5))).jaxpr
    assert jax_steps.products(jaxpr) == 2 * 2 * 3 * 5 + 2 * 6


def test_ratios_are_of_the_same_round_and_framework() -> None:
    times = {
        "plain": np.array([1.0, 2.0, 4.0]),
        "gram": np.array([3.0, 6.0, 12.0]),
        "PyTorch, plain": np.array([2.0, 2.0, 2.0]),
        "PyTorch, double backward": np.array([10.0, 20.0, 30.0]),
    }
    found = ratios(times)
    assert found["gram"]["ratio_low"] == found["gram"]["ratio"] == found["gram"]["ratio_high"] == 3
    assert found["gram"]["ratio_interval"] == pytest.approx(1.2)
    assert found["PyTorch, double backward"]["ratio"] == 10


def test_every_round_has_its_own_ratio() -> None:
    times = {
        "plain": np.array([1.0, 2.0]),
        "gram": np.array([3.0, 8.0]),
        TORCH_PLAIN: np.array([2.0, 4.0]),
        TORCH_PENALIZED: np.array([20.0, 20.0]),
    }
    found = {way: of_rounds.tolist() for way, of_rounds in rounds(times).items()}
    assert found["gram"] == [3, 4]
    assert found[TORCH_PENALIZED] == [10, 5]
    assert found["plain"] == found[TORCH_PLAIN] == [1, 1]


def test_every_way_is_described() -> None:
    timed = {
        way for shape in NETWORKS.values() for way in ("plain", "SAM", *jax_steps.estimators(shape))
    }
    assert timed | {TORCH_PLAIN, TORCH_PENALIZED} == set(ABOUT)


def test_a_network_keeps_the_ratio_of_each_round(monkeypatch) -> None:
    monkeypatch.setitem(NETWORKS, "small", SMALL)
    found = cost.measure_network("small", None, 1, {"rounds": 3, "seconds": 1e-4})
    assert found["shape"] == SMALL._asdict()
    assert set(found["rounds"]) == set(found["ways"])
    for way, of_rounds in found["rounds"].items():
        assert len(of_rounds) == 3
        assert np.median(of_rounds) == pytest.approx(found["ways"][way]["ratio"])
        assert np.all(np.array(of_rounds) > 0)


def test_all_take_every_turn() -> None:
    calls = []

    def way(name):
        def run(count):
            calls.append(name)
            return count * 0.1

        return run

    times = take_turns({"a": way("a"), "b": way("b")}, rounds=3, seconds=0.2)
    assert calls[-12:] == ["a", "a", "b", "b"] * 3
    assert all(found == pytest.approx([0.1] * 3) for found in map(list, times.values()))
