"""The figure of precision against price: the spread of the penalty's gradient over its time."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from flatreg import labels
from flatreg.config import Config
from flatreg.figures.style import COLORS, MARKERS, WIDTH

SHAPES = [*MARKERS, "<", ">", "*"]
# The colour of what a way estimates, by target and curvature.
HUES = {
    ("batch", "hessian"): COLORS[1],
    ("batch", "gauss_newton"): COLORS[6],
    ("loss", "hessian"): COLORS[4],
    ("loss", "gauss_newton"): COLORS[2],
}
ROWS = {"given": "mini-batch given", "drawn": "mini-batch drawn"}
# What is below it is the rounding of float32, and drawn as 0: of a loss a bit higher, where it
# would hide the way of the mini-batch that takes the same time.
NONE = 1e-3
PLACES_OF_NONE = {"batch": NONE, "loss": 2.2 * NONE}
BAND = (NONE / 1.8, 4 * NONE)
TIMES = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
SIZE = 4.5


def draw_frontier(_: Config, frontier: dict[str, Any]) -> Figure:
    """Spread of each way's gradient against the time that it adds; a column a network.

    Above, the mini-batch is given, and below it is drawn, as in training. Open marks are at initial
    parameters, filled ones at trained.

    Args:
        frontier: contents of bench/results/frontier.json.
    """
    times, spreads = frontier["times"], frontier["spreads"]
    figure, panels = plt.subplots(
        len(ROWS),
        len(times),
        figsize=(WIDTH, 4.4),
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for column, name in enumerate(times):
        ways = spreads[name]["ways"]
        for axes, (kind, title) in zip(panels[:, column], ROWS.items(), strict=True):
            for number, (way, quantity) in enumerate(frontier["ways"].items()):
                if way in ways:
                    heights = shown(ways[way], kind, quantity["target"])
                    draw_way(axes, times[name][way]["added"], heights, mark(number, quantity))
            draw_sam(axes, times[name]["SAM"]["added"])
            axes.set_title(f"{labels.dataset(name)}, {title}")
        panels[-1, column].set_xlabel("added time (plain steps)")
    for axes in panels[:, 0]:
        axes.set_ylabel("spread of the gradient")
    scale(panels)
    add_legend(figure, frontier["ways"])
    return figure


def shown(states: dict[str, Any], kind: str, target: str) -> list[float]:
    """The heights of a way's marks: its spreads at initial and at trained parameters."""
    spreads = [states[state][kind]["spread"] for state in ("initial", "trained")]
    return [spread if spread > NONE else PLACES_OF_NONE[target] for spread in spreads]


def draw_way(axes: Axes, x: float, heights: list[float], style: dict[str, Any]) -> None:
    """Two marks, joined: an open one at initial parameters, a filled one at trained."""
    axes.plot([x, x], heights, color=style["color"], linewidth=0.5, zorder=1)
    for height, inside in zip(heights, ("white", style["color"]), strict=True):
        axes.plot([x], [height], markerfacecolor=inside, clip_on=False, **style)


def mark(number: int, quantity: dict[str, str]) -> dict[str, Any]:
    """The mark of the way with this number: the colour says what it estimates."""
    color = HUES[quantity["target"], quantity["curvature"]]
    return {"linestyle": "", "marker": SHAPES[number], "markersize": SIZE, "color": color}


def draw_sam(axes: Axes, added: float) -> None:
    """A line at the time of sharpness-aware minimization, which estimates nothing of this."""
    axes.axvline(added, color="grey", linewidth=0.6, linestyle="--", zorder=0)
    top = axes.get_xaxis_transform()
    axes.text(added, 0.99, " SAM", color="grey", fontsize=7, va="top", transform=top)


def scale(panels: Any) -> None:
    """Logarithmic axes; a grey band is 0, in the rows where something is drawn there."""
    for axes in panels.flat:
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    for axes in panels[0]:
        limits = axes.get_xlim()
        axes.set_xticks(TIMES, [f"{time:g}" for time in TIMES])
        axes.set_xlim(limits)
    for row in panels:
        low, high = row[0].get_ylim()
        powers = {f"{10.0**power:g}": 10.0**power for power in range(-2, 5)}
        if low < NONE:
            low, powers = BAND[0], {"0": np.sqrt(BAND[0] * BAND[1])} | powers
            for axes in row:
                axes.axhspan(*BAND, color="0.94", linewidth=0, zorder=-1)
        row[0].set_yticks(list(powers.values()), list(powers))
        row[0].set_ylim(low, 1.5 * high)


def add_legend(figure: Figure, ways: dict[str, dict[str, str]]) -> None:
    """Each way's mark, and those of the parameters, below the panels."""
    handles = [
        Line2D([], [], label=way, **mark(number, quantity))
        for number, (way, quantity) in enumerate(ways.items())
    ]
    plain = {"linestyle": "", "marker": MARKERS[0], "markersize": SIZE, "color": "grey"}
    handles += [
        Line2D([], [], label="at initial parameters", markerfacecolor="white", **plain),
        Line2D([], [], label="at trained parameters", **plain),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
