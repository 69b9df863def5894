"""The figure of the cost has the times of the bench and those that are reported."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from matplotlib.figure import Figure

from flatreg.figures import cost

BENCH: dict[str, Any] = {
    "networks": {
        "cifar100": {
            "ways": {
                "plain": {"ratio": 1.0, "ratio_interval": 1.0},
                "reverse over reverse": {"ratio": 17.0, "ratio_interval": 2.6},
                "gram": {"ratio": 4.0, "ratio_interval": 1.3},
            }
        },
        "imdb_reviews": {"ways": {"gram": {"ratio": 3.0, "ratio_interval": 1.2}}},
    }
}
ORIGINAL: dict[str, Any] = {
    "results": {"cifar100": [{"lambda": "0", "seconds": 60.0}, {"lambda": "1", "seconds": 2220.0}]}
}


def drawn(figure: Figure, panel: int) -> dict[str, list[tuple[float, float]]]:
    """The points of each series that the legend names."""
    lines = figure.axes[panel].get_lines()
    return {
        str(line.get_label()): list(zip(*line.get_data(), strict=True))
        for line in lines
        if not str(line.get_label()).startswith("_")
    }


def test_a_training_stands_beside_what_is_reported() -> None:
    figure = cost.draw_cost({}, copy.deepcopy(ORIGINAL), BENCH)
    assert drawn(figure, 0) == {
        "reported": [(pytest.approx(37), 0)],
        "the same in JAX": [(2.6, 0)],
        "gram": [(1.3, 0), (1.2, 1)],
    }


def test_a_step_has_a_row_for_each_way_but_plain() -> None:
    figure = cost.draw_cost({}, ORIGINAL, BENCH)
    assert drawn(figure, 1) == {
        "in each step": [(17.0, 0), (4.0, 1)],
        "in every 10th": [(2.6, 0), (1.3, 1)],
    }
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == [
        "reverse over reverse",
        "gram",
    ]
