"""The search for rates: which point is chosen, and how the grid grows. Accuracies are made up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flatreg.config import Search
from flatreg.errors import UserError
from flatreg.train import select
from flatreg.train.select import Direction, Grid, Point, over_seeds

SEEDS = (7, 8)
Accuracy = Callable[[Point], float | None]
CHANCE = 0.25
SMALLER, LARGER = (Direction("learning_rate", up) for up in (False, True))


def result(
    point: Point, *accuracies: float | None, loss: float | None = None, chance: float = CHANCE
) -> dict[str, Any]:
    """What is known of a point; an accuracy of None is of a training that diverged.

    Without a loss the accuracy tells it.
    """
    trainings = [
        {
            **{"seed": seed, "status": "completed" if a is not None else "diverged", "epoch": 1},
            **{"validation_accuracy": a, "validation_loss": None if a is None else loss or 1 - a},
            "chance": chance,
        }
        for seed, a in zip(SEEDS, accuracies, strict=True)
    ]
    return over_seeds(point, trainings)


class MadeUp:
    """Trials whose accuracy is a function of the point."""

    def __init__(
        self, accuracy: Callable[[Point], float | None], *, penalized: bool = True
    ) -> None:
        self.accuracy = accuracy
        self.tried: list[Point] = []
        self._settings = type("Settings", (), {"penalized": penalized})

    def of(self, points: list[Point], seeds: tuple[int, ...]) -> dict[Point, dict[str, Any]]:
        assert seeds == SEEDS
        assert not set(points) & set(self.tried), "no point is tried twice"
        self.tried += points
        return {point: result(point, *[self.accuracy(point)] * 2) for point in points}

    if_none_trains = select.Trials.if_none_trains


def searched(
    accuracy: Accuracy,
    rates: tuple[float, ...] = (0.01, 0.1),
    decays: tuple[float, ...] = (0.0,),
    extensions: int = 3,
    **made: bool,
) -> dict[str, Any]:
    wanted = Search(
        learning_rate=rates, weight_decay=decays, seeds=SEEDS, extensions=extensions, lam=None
    )
    return select.search(MadeUp(accuracy, **made), wanted)


def best_at(rate: float, decay: float | None = None) -> Callable[[Point], float]:
    """An accuracy that falls with the distance, on a logarithmic scale, from its best point."""

    def accuracy(point: Point) -> float:
        away = math.log10(point.learning_rate / rate) ** 2
        if decay is not None:
            away += math.log10(point.weight_decay / decay) ** 2
        return 0.9 - 0.01 * away

    return accuracy


# ── The choice ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([(0.8, 0.6)], "the better mean, though not the best training"),
        ([(0.99, None)], "one that diverged for a seed is out"),
        ([(None, None)], "one that diverged is out"),
        ([(0.99, CHANCE)], "at chance for a seed: it did not learn"),
    ],
)
def test_the_best_point_is_chosen(others: list[tuple[float | None, ...]], why: str) -> None:
    best, *rest = (Point(rate, 0.0) for rate in (0.1, 0.2, 0.3))
    tried = {best: result(best, 0.75, 0.75)}
    tried |= {point: result(point, *a) for point, a in zip(rest, others, strict=False)}
    for order in (tried, dict(reversed(tried.items()))):
        assert select.choose(order) == best, why


def test_the_loss_decides_and_ties_go_by_the_accuracy() -> None:
    low, high = Point(0.1, 0.0), Point(0.2, 0.0)
    tried = {high: result(high, 0.5, 0.9, loss=2.0), low: result(low, 0.6, 0.6, loss=1.0)}
    assert select.choose(tried) == low
    tried = {high: result(high, 0.5, 0.9, loss=1.0), low: result(low, 0.6, 0.6, loss=1.0)}
    assert select.choose(tried) == high


def test_without_any_that_learned_the_best_at_chance_is_chosen() -> None:
    low, high = Point(0.1, 0.0), Point(0.2, 0.0)
    tried = {low: result(low, 0.25, 0.1), high: result(high, 0.25, 0.2)}
    assert select.choose(tried) == high
    assert not tried[high]["learned"]
    assert select.choose({low: result(low, None, 0.9)}) is None


def test_chance_is_the_share_of_the_commonest_class() -> None:
    assert select.commonest(np.array([3, 0, 3, 1], np.int32)) == 0.5
    point = Point(0.1, 0.0)
    assert not result(point, 0.5, 0.5, chance=0.5)["learned"]
    assert result(point, 0.51, 0.51, chance=0.5)["learned"]


# ── The grid ──────────────────────────────────────────────────────────────────


def test_a_grid_grows_by_its_own_ratio() -> None:
    grid = Grid((0.003, 0.01, 0.03), (0.1,))
    assert grid.extended(LARGER).learning_rate == (0.003, 0.01, 0.03, 0.09)
    assert grid.extended(SMALLER).learning_rate == (0.0009, 0.003, 0.01, 0.03)
    assert Grid((0.01, 0.03), (0.1,)).extended(SMALLER).learning_rate == (0.00333, 0.01, 0.03)
    assert grid.edges(Point(0.03, 0.1)) == [LARGER]
    assert grid.edges(Point(0.003, 0.1)) == [SMALLER]
    assert grid.edges(Point(0.01, 0.1)) == [], "of one decay there is no edge"


def test_no_decay_is_the_end_of_a_grid_and_no_edge() -> None:
    grid = Grid((0.1,), (0.0, 0.001, 0.01))
    more = Direction("weight_decay", up=True)
    assert grid.edges(Point(0.1, 0.0)) == []
    assert grid.edges(Point(0.1, 0.001)) == []
    assert grid.edges(Point(0.1, 0.01)) == [more]
    assert grid.extended(more).weight_decay == (0.0, 0.001, 0.01, 0.1)
    assert Grid((0.1,), (0.0, 0.01)).edges(Point(0.1, 0.01)) == [], "0 and 0.01 have no ratio"


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (10.0, (0.01, 0.1, 1.0, 10.0, 100.0)),
        (0.0001, (0.00001, 0.0001, 0.001, 0.01, 0.1)),
        (0.03, (0.01, 0.1)),
    ],
)
def test_the_grid_is_extended_until_the_best_point_is_inside(
    best: float, tried: tuple[float, ...]
) -> None:
    found = searched(best_at(best))
    rates = tuple(point["learning_rate"] for point in found["tried"])
    if best == 0.03:
        # Of two values each is an edge: one more to a side, and no more.
        assert len(rates) == 3
    else:
        assert rates == tried
        assert found["selected"] == {"learning_rate": best, "weight_decay": 0.0}
    assert found["edges"] == []
    assert found["learned"]


def test_both_dimensions_are_extended() -> None:
    found = searched(best_at(1.0, 1e-4), decays=(0.001, 0.01))
    assert found["selected"] == {"learning_rate": 1.0, "weight_decay": 1e-4}
    assert found["extensions"] == {"largest learning_rate": 2, "smallest weight_decay": 2}
    assert len(found["tried"]) == 4 * 4
    assert found["edges"] == []


def test_extensions_end_at_their_limit_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = searched(best_at(1e9), extensions=2)
    assert found["selected"]["learning_rate"] == 10
    assert found["edges"] == ["largest learning_rate"]
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "the best point has the largest learning_rate of the grid: extended to 1",
        "the best point has the largest learning_rate of the grid: extended to 10",
        "the best point still has the largest learning_rate of the grid, after all extensions",
    ]
    assert searched(best_at(1e9), extensions=0)["selected"]["learning_rate"] == 0.1


def test_one_value_is_not_extended() -> None:
    found = searched(best_at(1e9), rates=(0.01,))
    assert len(found["tried"]) == 1
    assert found["edges"] == []


# ── Divergence ────────────────────────────────────────────────────────────────


def test_if_every_point_diverged_smaller_rates_are_tried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = searched(lambda point: 0.5 if point.learning_rate < 0.005 else None)
    assert found["selected"]["learning_rate"] == pytest.approx(0.001)
    assert found["extensions"] == {"smallest learning_rate": 2}
    first, second = capsys.readouterr().out.splitlines()
    assert first == "every point diverged: extended to 0.001"
    assert second.startswith("the best point has the smallest learning_rate of the grid")
    assert [point["diverged"] for point in found["tried"]] == [False, False, True, True]


def test_a_penalty_that_lets_nothing_train_has_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    found = searched(lambda _: None)
    assert found["selected"]["learning_rate"] == pytest.approx(1e-5)
    assert not found["learned"]
    assert "every point diverged: the smallest rates are taken" in capsys.readouterr().out


def test_a_plain_training_that_only_diverges_is_a_mistake_of_the_grid() -> None:
    with pytest.raises(UserError, match="diverged; put smaller learning rates in it"):
        searched(lambda _: None, penalized=False)
