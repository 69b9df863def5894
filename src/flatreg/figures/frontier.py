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

# The mark of each method, by the first word of its ways' names, and what the legend calls it.
SHAPES = {
    "gram": ("o", "gram"),
    "pairs": ("D", "pairs of examples"),
    "pairs of the loss": ("D", "pairs of examples"),
    "autodiff": ("s", "probes of all parameters"),
    "Gauss-Newton": ("s", "probes of all parameters"),
    "cross-batch": ("s", "probes of all parameters"),
    "cross-batch of a quarter": ("P", "probes, a quarter of the batch"),
    "XNysTrace": ("^", "XNysTrace"),
}
OTHER = ("v", "another way")
# The colour of what a way estimates.
HUES = {
    "tr(H_b^2)": COLORS[1],
    "tr(G_b^2)": COLORS[6],
    "tr(H^2)": COLORS[4],
    "tr(G^2)": COLORS[2],
}
ROWS = {"given": "mini-batch given", "drawn": "mini-batch drawn"}
STATES = ("initial", "trained")
# What is below it is drawn as 0: of a whole loss a bit higher, where it would hide the way of the
# mini-batch that takes the same time.
NONE = 1e-3
PLACES_OF_NONE = {"_b": NONE, "": 2.2 * NONE}
BAND = (NONE / 1.8, 4 * NONE)
TIMES, FEW_TIMES = [0.5, 1, 2, 5, 10, 20, 50], [1, 3, 10, 30, 100]
SIZE = 3.8

# Names of the ways that differ in their number of probes or sketches only.
Families = dict[str, list[str]]


def draw_frontier(_: Config, frontier: dict[str, Any]) -> Figure:
    """Spread of each way's gradient against the time that it adds; a column a network.

    Above, the mini-batch is given, and below it is drawn, as in training. Open marks are at initial
    parameters, filled ones at trained. Lines join the same way with fewer and more probes.

    Args:
        frontier: contents of bench/results/frontier.json.
    """
    times, spreads = frontier["times"], frontier["spreads"]
    figure, panels = plt.subplots(
        len(ROWS),
        len(times),
        figsize=(WIDTH, 4.2),
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for column, name in enumerate(times):
        panels[0, column].set_title(labels.network(name))
        for axes, kind in zip(panels[:, column], ROWS, strict=True):
            draw_network(axes, kind, frontier["ways"], times[name], spreads[name]["ways"])
            draw_sam(axes, times[name]["SAM"]["added"])
    for axes, title in zip(panels[:, 0], ROWS.values(), strict=True):
        axes.set_ylabel(f"spread, {title}")
    for axes in panels[-1]:
        axes.set_xlabel("added time (plain steps)")
    scale(panels)
    add_legend(figure, frontier["ways"])
    return figure


def draw_network(
    axes: Axes, kind: str, ways: dict[str, str], times: dict[str, Any], spreads: dict[str, Any]
) -> None:
    """All ways on one network, with the mini-batch "given" or "drawn"."""
    measured = {way: target for way, target in ways.items() if way in spreads}
    for family, members in families(measured).items():
        target = measured[members[0]]
        added = [times[way]["added"] for way in members]
        for state in STATES:
            heights = [height(spreads[way][state][kind], target) for way in members]
            draw_way(axes, added, heights, mark(family, target), filled=state == "trained")


def families(ways: dict[str, str]) -> Families:
    """The ways by their name up to its last comma."""
    found: Families = {}
    for way in ways:
        found.setdefault(way.rpartition(", ")[0], []).append(way)
    return found


def mark(family: str, target: str) -> dict[str, Any]:
    """The mark of a family: the shape says its method, and the colour what it estimates."""
    return {"marker": method(family)[0], "markersize": SIZE, "color": HUES[target]}


def method(family: str) -> tuple[str, str]:
    """Shape and name of a family's method."""
    return SHAPES.get(family.partition(",")[0], OTHER)


def height(measured: dict[str, float], target: str) -> float:
    """The height of a mark: a way's spread, or the place of none."""
    place = PLACES_OF_NONE["_b" if "_b" in target else ""]
    return measured["spread"] if measured["spread"] > NONE else place


def draw_way(
    axes: Axes, added: list[float], heights: list[float], style: dict[str, Any], *, filled: bool
) -> None:
    """Marks at one state of the parameters, joined from few probes to many."""
    inside = style["color"] if filled else "white"
    axes.plot(
        added,
        heights,
        linewidth=0.6,
        markeredgewidth=0.8,
        markerfacecolor=inside,
        clip_on=False,
        **style,
    )


def draw_sam(axes: Axes, added: float) -> None:
    """A line at the time of sharpness-aware minimization, which estimates nothing of this."""
    axes.axvline(added, color="grey", linewidth=0.6, linestyle="--", zorder=0)
    top = axes.get_xaxis_transform()
    axes.text(added, 1.0, " SAM", color="grey", fontsize=7, va="top", transform=top)


def scale(panels: Any) -> None:
    """Logarithmic axes; a grey band is 0, in the rows where something is drawn there."""
    for axes in panels.flat:
        axes.set(xscale="log", yscale="log")
        axes.margins(0.12)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
    for axes in panels[0]:
        low, high = axes.get_xlim()
        limits = min(low, 0.4), max(high, 3)
        ticks = FEW_TIMES if limits[1] > 100 * limits[0] else TIMES
        axes.set_xticks(ticks, [f"{time:g}" for time in ticks])
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


def add_legend(figure: Figure, ways: dict[str, str]) -> None:
    """Below the panels: the methods, what they estimate, and the states of the parameters."""
    methods = dict.fromkeys(method(family) for family in families(ways))
    handles = [key(label, "grey", marker=shape) for shape, label in methods]
    handles += [key(formula(target), HUES[target]) for target in HUES if target in ways.values()]
    handles += [
        key("initial parameters", "grey", markerfacecolor="white"),
        key("trained parameters", "grey"),
    ]
    narrow = {"handlelength": 1.0, "handletextpad": 0.4, "columnspacing": 1.4}
    figure.legend(handles=handles, loc="outside lower center", ncols=5, **narrow)


def key(label: str, color: str, *, marker: str = MARKERS[0], **options: Any) -> Line2D:
    """A mark of the legend."""
    style = {"linestyle": "", "marker": marker, "markersize": SIZE, "color": color}
    return Line2D([], [], label=label, **style, **options)


def formula(target: str) -> str:
    """What is estimated, and of which loss."""
    of = "mini-batch" if "_b" in target else "whole loss"
    return rf"$\mathrm{{tr}}({target[3:-1]})$, {of}"
