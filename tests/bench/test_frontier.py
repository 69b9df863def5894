"""The bench of spread against time, on networks whose Hessians are small enough to write down."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from bench import frontier, jax_steps, models, networks, ways
from bench.frontier import Place
from bench.networks import Shape
from bench.ways import PROBLEMS
from flatreg.data.splits import Scaling, Split
from flatreg.disk.files import read_json

pytestmark = pytest.mark.usefixtures("quick_compilation")

ONE_LOGIT = Shape(inputs=5, hidden=(6,), outputs=1, batch=8)
CLASSES = Shape(inputs=5, hidden=(6, 4), outputs=3, batch=8)
PICTURES = ["cnn", "transformer"]


def place(shape: Shape, large: int | None = None) -> Place:
    """A small network with 30 examples, and two given mini-batches."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, shape.inputs)).astype(np.float32)
    y = rng.integers(0, max(2, shape.outputs), 30).astype(np.int32)
    scaling = Scaling(np.float32(0), np.float32(1))
    params = jax.tree.map(jnp.asarray, networks.parameters(shape))
    problem = ways.on_dense("made up", shape, 20, 0.05, batches=2, large=large)
    return Place(problem, Split(x, y, scaling), params)


def dense_gradient(params, batch) -> np.ndarray:
    """The gradient of tr(H^2) by the whole Hessian."""
    flat, unravel = ravel_pytree(params)

    def square(flat):
        return jnp.sum(jax.hessian(lambda f: jax_steps.loss(unravel(f), *batch))(flat) ** 2)

    return np.asarray(jax.jit(jax.grad(square))(flat))


def spread_of(name: str, here: Place, kind: str, draws: int) -> dict[str, float]:
    """The spread of one of the ways."""
    way = here.problem.ways[name]
    gradient = frontier.gradient_of(way)
    if kind == "given":
        truths = frontier.given_truths(here, 0)[way.target]
        return frontier.spread_given(here, gradient, truths, draws)
    truth = frontier.drawn_truths(here, 0)[way.target]
    return frontier.spread_drawn(here, gradient, truth, draws)


def test_the_truth_of_a_given_batch_is_the_dense_hessian_s() -> None:
    here = place(CLASSES)
    truths = frontier.given_truths(here, 0)["tr(H_b^2)"]
    batches = frontier.given_batches(here)
    for truth, batch in zip(truths, batches, strict=True):
        dense = dense_gradient(here.params, batch)
        np.testing.assert_allclose(truth.mean, dense, rtol=1e-3, atol=1e-4 * np.abs(dense).max())
    assert not np.array_equal(batches[0][0], batches[1][0])


def test_the_truth_of_the_loss_is_the_dense_hessian_s_of_all_examples() -> None:
    here = place(CLASSES)
    examples = here.examples
    dense = dense_gradient(here.params, (examples.x, examples.y))
    found = frontier.drawn_truths(here, 0)["tr(H^2)"].mean
    np.testing.assert_allclose(found, dense, rtol=1e-3, atol=1e-4 * np.abs(dense).max())


@pytest.mark.parametrize("target", ways.EXACT)
def test_the_truth_over_batches_is_the_mean_of_draws(target: str) -> None:
    here = place(ONE_LOGIT)
    exact = frontier.drawn_truths(here, 0)[target].mean
    found = frontier.mean_of_draws(
        here._replace(problem=here.problem._replace(large=16)), target, 600
    )
    assert 0 < found.squared_error < 0.1 * found.size
    assert np.sum((found.mean - exact) ** 2) < 4 * found.squared_error


def test_pairs_of_one_logit_have_no_spread_on_a_given_batch() -> None:
    for name in ways.of_dense(ONE_LOGIT):
        if "pairs" in name:
            assert abs(spread_of(name, place(ONE_LOGIT), "given", 4)["spread"]) < 1e-8


def test_five_probes_have_a_fifth_of_the_spread_of_one() -> None:
    one, five = (
        spread_of(f"gram, {m}", place(CLASSES), "given", 600) for m in ("1 probe", "5 probes")
    )
    error = np.hypot(one["error"] / 5, five["error"])
    assert abs(five["spread"] - one["spread"] / 5) < 4 * error < one["spread"] / 5


@pytest.mark.parametrize("name", ways.of_dense(CLASSES))
def test_every_way_has_its_target_as_its_mean(name: str) -> None:
    for kind in ("given", "drawn"):
        found = spread_of(name, place(CLASSES), kind, 400)
        assert abs(found["bias"]) < 0.03 * max(found["spread"], 0.1)


def test_the_mini_batch_adds_to_the_spread() -> None:
    for name in ("gram, 5 probes", "pairs of the loss, 1 sketch"):
        given, drawn = (spread_of(name, place(ONE_LOGIT), kind, 100) for kind in ("given", "drawn"))
        assert drawn["spread"] > given["spread"] + 0.1


def test_training_takes_each_example_once_an_epoch_and_lowers_the_loss() -> None:
    here = place(ONE_LOGIT)
    rows = list(frontier.epochs(30, here.problem))
    assert len(rows) == 20 * 3
    assert len(set(np.concatenate(rows[:3]))) == 24
    after = frontier.trained(here.problem, here.examples, here.params)
    assert frontier.mean_loss(here._replace(params=after)) < 0.8 * frontier.mean_loss(here)


def test_with_one_logit_the_number_of_sketches_makes_no_other_way() -> None:
    here = place(ONE_LOGIT)
    one, two = (
        frontier.gradient_of(ways.of_pairs("loss", sketches))(
            here.params, *here.batch(0), jax.random.key(0)
        )
        for sketches in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    differing = set(ways.of_dense(ONE_LOGIT)) ^ set(ways.of_dense(CLASSES))
    assert differing == {"pairs of the loss, 2 sketches", "pairs, exact"}


def test_a_whole_problem_is_measured_and_timed() -> None:
    here = place(CLASSES, large=16)
    chosen = ("gram, 1 probe", "pairs of the loss, 1 sketch")
    problem = here.problem._replace(ways={name: here.problem.ways[name] for name in chosen})
    found = frontier.spreads_of(problem, here.examples, draws=4, truth_draws=8)
    assert set(found["ways"]) == set(chosen)
    assert found["examples"] == 30
    assert found["losses"]["trained"] < found["losses"]["initial"]
    times = frontier.time_ways("made up", problem, {"rounds": 2, "seconds": 0.01})
    assert set(times) == {"plain", "SAM", *chosen}
    assert times["plain"]["added"] == 0


def test_where_no_truth_is_exact_it_is_the_mean_of_draws() -> None:
    here = place(ONE_LOGIT, large=16)
    own = ways.of_any_model(here.problem.model)
    drawn = here._replace(
        problem=here.problem._replace(ways=own, exact={}, precise=ways.by_target(*own.values()))
    )
    found, exact = frontier.given_truths(drawn, 600), frontier.given_truths(here, 0)
    assert set(found) == {way.target for way in own.values()}
    for target, truths in found.items():
        for truth, one in zip(truths, exact[target], strict=True):
            assert 0 < truth.squared_error < 0.1 * truth.size
            assert np.sum((truth.mean - one.mean) ** 2) < 4 * truth.squared_error


@pytest.mark.parametrize("name", PICTURES)
def test_a_network_on_pictures_learns(name: str) -> None:
    """All parameters have a gradient, along which the loss falls."""
    model = PROBLEMS[name].model
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, model.inputs)).astype(np.float32), np.arange(8)
    gradient, params = jax.jit(jax.grad(model.loss)), model.start()
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient(params, x, y)))
    before = model.loss(params, x, y)
    for _ in range(20):
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient(params, x, y))
    assert model.loss(params, x, y) < 0.6 * before
    assert model.logits(params, x).shape == (8, model.outputs)


def test_a_patch_is_a_square_of_the_picture() -> None:
    pictures = jnp.arange(2 * 32 * 32 * 3).reshape(2, 32, 32, 3)
    patches = models._patches(pictures)
    assert patches.shape == (2, 16, 192)
    np.testing.assert_array_equal(patches[1, 6].reshape(8, 8, 3), pictures[1, 8:16, 16:24])


def test_a_part_is_measured_again_without_the_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(frontier, "measure_times", lambda _, timing: {"made": timing["rounds"]})
    monkeypatch.setattr(frontier, "measure_spreads", lambda *_, draws, **__: {"made": draws})

    def measure(*flags: str) -> dict:
        call = ["frontier", "--data", "nowhere", "--out", str(tmp_path / "out.json"), *flags]
        monkeypatch.setattr("sys.argv", call)
        frontier.main()
        return read_json(tmp_path / "out.json")

    first = measure("--rounds", "3", "--draws", "5")
    again = measure("--rounds", "4", "--draws", "6", "--parts", "times")
    assert (first["times"], first["spreads"]) == ({"made": 3}, {"made": 5})
    assert (again["times"], again["spreads"]) == ({"made": 4}, {"made": 5})
    assert (again["facts"]["times"]["rounds"], again["facts"]["spreads"]["draws"]) == (4, 5)
    assert set(again["networks"]) == set(PROBLEMS)
    assert set(again["ways"]) == {way for problem in PROBLEMS.values() for way in problem.ways}
    assert set(measure("--networks", "cnn")["networks"]) == {"cnn"}
