"""Lanes side by side: their numbers are those of lanes alone, up to rounding."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from flatreg.config import Convergence, Run, Settings
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.errors import StoppedError
from flatreg.train import loop, select
from flatreg.train.checkpoints import Interval
from flatreg.train.lane import Block
from flatreg.train.side_by_side import packed, portion, width
from flatreg.train.strategies import (
    Strategy,
    arguments_of,
    lane_bytes,
    one_after_another,
    together,
)
from tests.configs import SETTINGS
from tests.studies import small_study
from tests.train import problems
from tests.train.problems import trainers_of


@pytest.fixture(autouse=True, scope="module")
def quickly_compiled() -> Iterator[None]:
    """Without optimization of programs that run for a moment."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


GRAM = replace(SETTINGS.penalty, estimator="gram", interval=3)
RAW = {"inputs": "raw", "penalty": GRAM, "dataset": "texts", "batch": 48}
LANES = [{"lam": lam, "seed": seed} for lam in ("0.1", "0.5") for seed in (0, 1)]


def lanes_of(lanes: list[dict[str, Any]], **changes: Any) -> list[Settings]:
    return [replace(SETTINGS, **(changes | lane)) for lane in lanes]


def ended(
    train: Callable[..., Iterator[dict[int, loop.State]]],
    trainers: Sequence[loop.Trainer],
    starts: Sequence[loop.State] | None = None,
) -> list[loop.State]:
    """The last state of each lane; each lane that still trains makes one epoch at a time."""
    now = dict(enumerate(starts or [loop.start(trainer) for trainer in trainers]))
    for states in train(trainers, list(now.values())):
        assert all(len(state.rows) - now[n].epoch <= 1 for n, state in states.items())
        now |= states
    return [now[n] for n in range(len(trainers))]


def numbers(row: loop.Row) -> dict[str, float]:
    return {name: np.nan if value is None else value for name, value in row.items()}


def assert_same(here: loop.State, alone: loop.State) -> None:
    assert (here.status, here.epoch, here.diverged_step) == (
        *[alone.status, alone.epoch, alone.diverged_step],
    )
    assert here.kept.epoch == alone.kept.epoch
    for row, expected in zip(here.rows, alone.rows, strict=True):
        assert numbers(row) == pytest.approx(numbers(expected), rel=2e-3, abs=1e-6, nan_ok=True)
    for name in ("params", "optimizer", "kept"):
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5),
            getattr(here, name),
            getattr(alone, name),
        )


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (problems.digits, {}),
        (problems.digits, {"penalty": GRAM, "weight_decay": 0.01, "clip_norm": 1.0}),
        (problems.digits, {"penalty": replace(GRAM, decoupled=True, warmup=0.5)}),
        (problems.digits, {"varies": ("split", "order"), "inputs": "standardized"}),
        (problems.digits, {"varies": ("test_split", "initialization")}),
        (problems.texts, RAW),
        (problems.texts, RAW | {"varies": ("split", "order")}),
    ],
    ids=["dense", "gram", "decoupled", "splits", "test splits", "sparse", "sparse splits"],
)
def test_lanes_have_the_numbers_that_they_have_alone(
    make: Callable[[], Dataset], changes: dict[str, Any]
) -> None:
    trainers = trainers_of(make(), lanes_of(LANES, epochs=2, **changes))
    both = [ended(train, trainers) for train in (together, one_after_another)]
    for here, alone in zip(*both, strict=True):
        assert here.status == "completed"
        assert_same(here, alone)
    assert trainers[0].program.epochs.programs == 1
    first, *others = (np.asarray(jax.tree.leaves(state.params)[-1]) for state in both[0])
    assert not any(np.allclose(first, other) for other in others), "lanes differ"


def test_lanes_without_the_penalty() -> None:
    trainers = trainers_of(problems.digits(), lanes_of([{"seed": 0}, {"seed": 5}]))
    both = (ended(train, trainers) for train in (together, one_after_another))
    for here, alone in zip(*both, strict=True):
        assert_same(here, alone)


def test_a_lane_that_diverges_or_converges_ends_alone() -> None:
    """1e38 is not finite on its first penalized step; a high rate ends by convergence earlier."""
    lanes = [
        *[{"lam": "1e38"}, {"lam": "0.1", "learning_rate": 0.05}],
        *[{"lam": "0.1", "learning_rate": 0.003}, {"lam": "0.2", "learning_rate": 0.003}],
    ]
    convergence = Convergence(patience=2, min_delta=0.05)
    trainers = trainers_of(problems.digits(), lanes_of(lanes, epochs=12, convergence=convergence))
    here = ended(together, trainers)
    assert [state.status for state in here[:2]] == ["diverged", "converged"]
    assert here[1].epoch < here[2].epoch
    for state, alone in zip(here, ended(one_after_another, trainers), strict=True):
        assert_same(state, alone)
    # For all four lanes and for two; each at most once.
    assert trainers[0].program.epochs.programs <= 3


def test_lanes_go_on_from_different_epochs() -> None:
    trainers = trainers_of(problems.digits(), lanes_of(LANES, epochs=3))
    alone = [list(loop.fit(trainer, loop.start(trainer))) for trainer in trainers]
    starts = [alone[0][1], loop.start(trainers[1]), alone[2][0], alone[3][1]]
    here = ended(together, trainers, starts)
    for state, expected in zip(here, alone, strict=True):
        assert_same(state, expected[-1])


@pytest.mark.parametrize(
    ("lanes", "most", "expected"),
    [
        (16, 16, 16),
        (9, 16, 16),
        (8, 16, 8),
        (3, 16, 4),
        (1, 16, 1),
        (2, 3, 2),
        (1, 3, 1),
        (1, 1, 1),
    ],
)
def test_widths_halve(lanes: int, most: int, expected: int) -> None:
    assert width(lanes, most) == expected


@pytest.mark.parametrize(
    ("lanes", "fitting", "expected"),
    [(16, 100, 16), (16, 16, 16), (16, 12, 8), (17, 6, 6), (5, 1, 1), (5, 0, 1), (1, 7, 1)],
)
def test_portions_fit_and_are_even(lanes: int, fitting: int, expected: int) -> None:
    assert portion(lanes, 10, 10 * fitting + 9) == expected


@pytest.mark.parametrize(
    ("make", "changes"),
    [(problems.digits, {}), (problems.digits, {"penalty": GRAM}), (problems.texts, RAW)],
    ids=["dense", "gram", "sparse"],
)
def test_lanes_take_no_more_memory_than_is_counted(
    make: Callable[[], Dataset], changes: dict[str, Any]
) -> None:
    lanes = [{"lam": "0.1", "seed": seed} for seed in range(8)]
    trainers = trainers_of(make(), lanes_of(lanes, **changes))
    starts = [loop.start(trainer) for trainer in trainers]
    counted = 8 * lane_bytes(trainers[0], starts[0])
    used = trainers[0].program.epochs.memory(*packed(arguments_of(trainers, starts), 8))
    examples = sum(leaf.nbytes for leaf in jax.tree.leaves(trainers[0].batches.examples))
    taken = used.argument_size_in_bytes + used.output_size_in_bytes + used.temp_size_in_bytes
    assert taken - examples <= counted <= 4 * taken


RUNS = [Run("stated", "breast_cancer", lam, seed) for lam in ("0.01", "0.1") for seed in (0, 1)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_study(
        tmp_path_factory.mktemp("study"),
        "protocols: {stated: {datasets: {breast_cancer: {epochs: 5}}}}\n",
    )


def block_of(study: Path, checkpoints: Path, at_a_time: int) -> Block:
    """A block whose lanes are trained side by side."""
    return Block(
        *[json.loads((study / "config.json").read_text()), load_dataset(study / "data.npz")],
        *[None, checkpoints, Interval(2), Strategy(lambda *_: at_a_time, together)],
    )


def train_block(study: Path, checkpoints: Path, at_a_time: int, stops: int = 10**9) -> list[Path]:
    """Train the runs of the block, told to end before an epoch; return the places of the lanes."""
    block = block_of(study, checkpoints, at_a_time)
    lanes = [block.lane(run) for run in RUNS]
    asked = iter([None] * stops) if stops < 100 else None
    logs = [checkpoints / f"{n}.log" for n in range(len(RUNS))]
    block.train(lanes, logs, lambda: asked and next(asked, signal.SIGTERM))
    return [lane.place for lane in lanes]


@pytest.fixture(scope="module")
def unbroken(study: Path) -> Path:
    """The folder of the checkpoints and logs of four lanes, trained without a stop."""
    train_block(study, study / "unbroken", 4)
    return study / "unbroken"


def test_points_of_a_search_go_side_by_side(tmp_path: Path) -> None:
    """Two points with two seeds, in portions of three and one, with the results of each alone."""
    settings = replace(SETTINGS, epochs=2, inputs="standardized", varies=select.VARIES)
    data = problems.breast_cancer()
    points = [select.Point(rate, 0.0) for rate in (0.1, 0.01)]

    def tried(folder: str, strategy: Strategy) -> dict[select.Point, Any]:
        return select.Trials(tmp_path / folder, data, settings, strategy).of(points, (7, 8))

    here = tried("here", Strategy(lambda *_: 3, together))
    alone = tried("alone", Strategy(lambda *_: 1, one_after_another))
    assert list(here) == list(alone) == points
    for point in points:
        ours, theirs = (both[point].pop("trainings") for both in (here, alone))
        for one, other in zip(ours, theirs, strict=True):
            assert one.pop("validation_loss") == pytest.approx(
                other.pop("validation_loss"), rel=1e-4
            )
            assert one == other
    again = tried("here", Strategy(None, None))
    assert list(again) == points, "saved trainings are not repeated"


def records(places: list[Path]) -> list[dict[str, Any]]:
    return [json.loads((place / "finished/metrics.json").read_text()) for place in places]


def test_a_block_keeps_the_files_of_each_lane(study: Path, unbroken: Path, tmp_path: Path) -> None:
    alone = train_block(study, tmp_path, 1)
    places = [unbroken / place.name for place in alone]
    for run, here, expected in zip(RUNS, records(places), records(alone), strict=True):
        assert here["lambda"] == run.lam
        assert here["seed"] == run.seed
        for name in ("train_loss", "validation_loss", "tr_h2_epochs", "parameter_norm"):
            assert here[name] == pytest.approx(expected[name], rel=1e-3)
    for n, place in enumerate(places):
        log = (unbroken / f"{n}.log").read_text()
        assert [line.split()[1] for line in log.splitlines()] == [f"{e}/5" for e in range(1, 6)]
        assert not (place / "epochs").exists()


@pytest.mark.slow
def test_a_block_that_is_told_to_end_saves_every_lane(
    study: Path, unbroken: Path, tmp_path: Path
) -> None:
    """The signal arrives after the third epoch, which no checkpoint was due to save."""
    with pytest.raises(StoppedError, match=r"the last of 5 epochs of each of 4 runs is saved"):
        train_block(study, tmp_path, 4, stops=3)
    places = train_block(study, tmp_path, 4)
    for n, place in enumerate(places):
        timing = json.loads((place / "finished/timing.json").read_text())
        assert timing["resumed"] == 3
        log = (tmp_path / f"{n}.log").read_text().splitlines()
        assert log[0] == "going on after epoch 3 of 5"
        for name in ("params.npz", "last.npz", "epochs.csv"):
            kept = place / "finished" / name
            assert kept.read_bytes() == (unbroken / place.name / "finished" / name).read_bytes()


def test_a_block_that_is_finished_trains_nothing(
    study: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_block(study, unbroken, 4)
    said = capsys.readouterr().out
    assert said.count("this run is already finished") == 4
    assert said.endswith("4 of 4 runs are finished\n")
