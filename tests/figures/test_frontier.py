"""The figure of spread against time: each way's marks stand where the bench measured them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import ways
from flatreg.disk.files import read_json
from flatreg.figures import frontier
from flatreg.figures.__main__ import drawing_function, read_input
from flatreg.figures.registry import FIGURES
from flatreg.figures.style import STYLE

WAYS = {
    "gram, 1 probe": "tr(H_b^2)",
    "gram, 5 probes": "tr(H_b^2)",
    "pairs, exact": "tr(H_b^2)",
    "pairs of the loss, 2 sketches": "tr(H^2)",
    "pairs of the loss, Gauss-Newton, 1 sketch": "tr(G^2)",
}


def spreads(initial: float, trained: float) -> dict[str, Any]:
    """A way's spreads, which double where the mini-batch is drawn."""
    states = {"initial": initial, "trained": trained}
    kinds = {"given": 1, "drawn": 2}
    return {s: {kind: {"spread": v * k} for kind, k in kinds.items()} for s, v in states.items()}


# By network and way: the added time and the spreads at initial and at trained parameters.
MEASURED = {
    "breast_cancer": {
        "gram, 1 probe": (2, 0.5, 1.5),
        "gram, 5 probes": (8, 0.1, 0.3),
        "pairs, exact": (2, 1e-12, -1e-9),
        "pairs of the loss, 2 sketches": (2, 0, 0),
    },
    "cifar100": dict.fromkeys(WAYS, (3, 0.5, 5)),
}
MADE_UP = {
    "ways": WAYS,
    "times": {
        network: {"SAM": {"added": 0.8}} | {n: {"added": way[0]} for n, way in measured.items()}
        for network, measured in MEASURED.items()
    },
    "spreads": {
        network: {"ways": {name: spreads(*way[1:]) for name, way in measured.items()}}
        for network, measured in MEASURED.items()
    },
}


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        yield
    plt.close("all")


def marks(axes: Axes) -> list[tuple[str, float, float, bool]]:
    """Shape and place of each mark, and whether it is filled."""
    return [
        (line.get_marker(), float(x), float(y), line.get_mfc() == line.get_color())
        for line in axes.lines
        if line.get_marker() != "None"
        for x, y in line.get_xydata()
    ]


def panels(figure: Figure) -> list[list[Axes]]:
    """The panels, a row for a mini-batch that is given and one for one that is drawn."""
    return [figure.axes[:2], figure.axes[2:]]


def test_each_way_has_two_marks_at_its_time_and_spreads() -> None:
    given, drawn = panels(frontier.draw_frontier({}, MADE_UP))
    circles = [found for found in marks(given[0]) if found[0] == "o"]
    assert circles == [
        ("o", 2, 0.5, False),
        ("o", 8, 0.1, False),
        ("o", 2, 1.5, True),
        ("o", 8, 0.3, True),
    ]
    assert marks(drawn[0])[:2] == [("o", 2, 1.0, False), ("o", 8, 0.2, False)]
    assert len(marks(given[1])) == len(marks(drawn[1])) == 2 * len(WAYS)


def test_a_way_that_was_not_measured_on_a_network_has_no_mark_there() -> None:
    (given, _), _ = panels(frontier.draw_frontier({}, MADE_UP))
    assert len(marks(given)) == 2 * (len(WAYS) - 1)


def test_every_way_of_the_bench_has_the_shape_of_its_method_and_the_colour_of_its_target() -> None:
    for problem in ways.PROBLEMS.values():
        targets = {name: way.target for name, way in problem.ways.items()}
        assert set(targets.values()) <= set(frontier.HUES)
        for family, members in frontier.families(targets).items():
            assert frontier.method(family) != frontier.OTHER
            assert len({targets[name] for name in members}) == 1


def test_the_legend_says_methods_targets_and_states() -> None:
    figure = frontier.draw_frontier({}, MADE_UP)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[:2] == ["gram", "pairs of examples"]
    assert r"$\mathrm{tr}(H_b^2)$, mini-batch" in words
    assert words[-2:] == ["initial parameters", "trained parameters"]
    assert len(words) == 2 + 3 + 2


def test_no_spread_is_drawn_as_0_with_the_targets_apart() -> None:
    (given, other), _ = panels(frontier.draw_frontier({}, MADE_UP))
    of_batch, of_loss = sorted({y for shape, _, y, _ in marks(given) if shape == "D"})
    bottom, top = frontier.BAND
    assert bottom < of_batch != of_loss < top
    assert given.get_ylim() == other.get_ylim()
    assert given.get_ylim()[0] == bottom
    assert given.get_yticklabels()[0].get_text() == "0"


def test_sam_s_time_is_a_line() -> None:
    for axes in frontier.draw_frontier({}, MADE_UP).axes:
        (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert list(line.get_xdata()) == [0.8, 0.8]
        assert axes.texts[0].get_position()[0] == 0.8


def test_the_committed_results_are_drawn_whole(root: Path) -> None:
    """By the registry's row: no mark is cut off, and no panel is without ticks."""
    row = FIGURES["frontier"]
    assert row.inputs == ("frontier",)
    content = read_input("frontier", [root / "bench/results/frontier.json"])
    assert content == read_json(root / "bench/results/frontier.json")
    figure = drawing_function(row.function)({}, content)
    figure.canvas.draw()
    for axes in figure.axes:
        at = np.array([(x, y) for _, x, y, _ in marks(axes)])
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        assert np.all((at > (left, low)) & (at < (right, high)))
        assert sum(low < tick < high for tick in axes.get_yticks()) >= 2
        assert sum(left < tick < right for tick in axes.get_xticks()) >= 2
