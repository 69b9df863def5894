"""The figure of precision against price: the spread of the penalty's gradient over its time."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
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
# Below it is what the rounding of float32 leaves of no spread; drawn as 0.
NONE = 1e-3
TIMES = [0.2, 0.5, 1, 2, 5, 10, 20, 50]


def draw_frontier(_: Config, frontier: dict[str, Any]) -> Figure:
    """Spread of each way's gradient against the time that it adds; a column a network.

    Above, the mini-batch is given, and below it is drawn, as in training. Open marks are at initial
    parameters, filled ones at trained.

    Args:
        frontier: contents of bench/results/frontier.json.
    """
    networks = frontier["networks"]
    figure, panels = plt.subplots(
        len(ROWS), len(networks), figsize=(WIDTH, 4.4), sharex="col", sharey=True, squeeze=False
    )
    for column, (name, network) in enumerate(networks.items()):
        for row, (kind, title) in enumerate(ROWS.items()):
            axes = panels[row, column]
            for number, (way, quantity) in enumerate(frontier["ways"].items()):
                color = HUES[quantity["target"], quantity["curvature"]]
                draw_way(axes, network, way, kind, color=color, marker=SHAPES[number])
            draw_sam(axes, network["times"]["SAM"]["added"])
            axes.set_title(f"{labels.dataset(name)}, {title}")
        panels[-1, column].set_xlabel("added time (plain steps)")
    for axes in panels[:, 0]:
        axes.set_ylabel("spread of the gradient")
    scale(panels)
    add_legend(figure, frontier["ways"])
    return figure


def draw_way(
    axes: Axes, network: dict[str, Any], way: str, kind: str, *, color: str, marker: str
) -> None:
    """A way's two marks, joined: one at initial parameters, one at trained."""
    states = network["spreads"][way]
    x = [network["times"][way]["added"]] * 2
    y = [max(states[state][kind]["spread"], NONE) for state in ("initial", "trained")]
    axes.plot(x, y, color=color, linewidth=0.5, zorder=1)
    for value, inside in zip(y, ("white", color), strict=True):
        axes.plot(
            x[:1],
            [value],
            marker=marker,
            linestyle="",
            color=color,
            markerfacecolor=inside,
            markersize=4.5,
            clip_on=False,
        )


def draw_sam(axes: Axes, added: float) -> None:
    """A line at the time of sharpness-aware minimization, which estimates nothing of this."""
    axes.axvline(added, color="grey", linewidth=0.6, linestyle="--", zorder=0)
    top = axes.get_xaxis_transform()
    axes.text(added, 0.99, " SAM", color="grey", fontsize=7, va="top", transform=top)


def scale(panels: Any) -> None:
    """Logarithmic axes, with 0 in the place of `NONE`."""
    for axes in panels.flat:
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(TIMES, [f"{time:g}" for time in TIMES])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    _, high = panels.flat[0].get_ylim()
    ticks = [10.0**power for power in range(-2, 4) if 10.0**power <= high]
    panels.flat[0].set_yticks([NONE, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])
    panels.flat[0].set_ylim(NONE / 1.5, high)


def add_legend(figure: Figure, ways: dict[str, dict[str, str]]) -> None:
    """Each way's mark, below the panels."""
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=SHAPES[number],
            color=HUES[quantity["target"], quantity["curvature"]],
            label=way,
        )
        for number, (way, quantity) in enumerate(ways.items())
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
