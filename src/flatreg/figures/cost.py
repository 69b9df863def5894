"""Figures of the cost of the penalty."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from flatreg import labels
from flatreg.config import BASELINE, Config
from flatreg.figures.style import COLORS, DASHES, MARKERS, WIDTH, draw_dots, share_legend

# Axis labels of the quantities that the bench varies.
QUANTITIES = {
    "inputs": "input width",
    "batch": "batch",
    "probes": "probes",
    "layers": "dense layers",
}


# Ways beside the times that are reported: the original's algorithm twice, and one of ours.
BESIDE = {
    "reverse over reverse": "the same in JAX",
    "PyTorch, double backward": "the same in PyTorch",
    "gram": "gram",
}


def draw_cost(_: Config, original: dict[str, Any], bench: dict[str, Any]) -> Figure:
    """Left, a training over plain training; right, time of a step by each way.

    Args:
        original: contents of paper/original.json.
        bench: contents of bench/results/cost.json.
    """
    figure, (trainings, steps) = plt.subplots(1, 2, figsize=(WIDTH, 2.5))
    _draw_trainings(trainings, bench["networks"], original["results"])
    _draw_steps(steps, bench["networks"]["cifar100"]["ways"])
    for axes in (trainings, steps):
        axes.axvline(1, color="grey", linewidth=0.6)
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_yaxis()
        # Below the axis, where no dot can be.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2, columnspacing=1)
    return figure


def _draw_trainings(
    axes: Axes, networks: dict[str, Any], reported: dict[str, list[dict[str, Any]]]
) -> None:
    """One row per data set: what the original reports, one dot per lambda, and the bench's ways."""
    datasets = list(networks)
    theirs = [
        (ratio, place)
        for place, dataset in enumerate(datasets)
        for ratio in _reported_ratios(reported.get(dataset, []))
    ]
    draw_dots(axes, *zip(*theirs, strict=True), 0, "reported")
    for number, (way, name) in enumerate(BESIDE.items(), start=1):
        timed = [
            (network["ways"][way]["ratio_interval"], place)
            for place, network in enumerate(networks.values())
            if way in network["ways"]
        ]
        if timed:
            draw_dots(axes, *zip(*timed, strict=True), number, name)
    axes.set_title("a training, with the penalty in every 10th step")
    axes.set_yticks(range(len(datasets)), [labels.dataset(d, "\n") for d in datasets])
    axes.set_ylim(-0.5, len(datasets) - 0.5)
    axes.set_xlabel("time over that of plain training")


def _reported_ratios(rows: list[dict[str, Any]]) -> list[float]:
    """The original's seconds at each lambda above 0, over those at lambda 0."""
    seconds = {row["lambda"]: row["seconds"] for row in rows}
    return [value / seconds[BASELINE] for lam, value in seconds.items() if lam != BASELINE]


def _draw_steps(axes: Axes, ways: dict[str, dict[str, float]]) -> None:
    """One row per way to compute the penalty; applied in each step, and in every tenth."""
    penalized = {way: ratios for way, ratios in ways.items() if not way.endswith("plain")}
    for number, (column, name) in enumerate(
        [("ratio", "in each step"), ("ratio_interval", "in every 10th")]
    ):
        x = [ratios[column] for ratios in penalized.values()]
        draw_dots(axes, x, range(len(penalized)), number, name)
    axes.set_title("a step of the CIFAR-100 network")
    axes.set_yticks(range(len(penalized)), penalized)
    axes.set_ylim(-0.5, len(penalized) - 0.5)
    axes.set_xlabel("time over that of a plain step")


def draw_cost_growth(_: Config, bench: dict[str, Any]) -> Figure:
    """Time that the penalty adds to a step of the CIFAR-100 network, as one quantity grows.

    The unit is a plain step of that network.
    """
    figure, panels = plt.subplots(1, len(bench["curves"]), figsize=(WIDTH, 1.9), sharey=True)
    unit = bench["networks"]["cifar100"]["ways"]["plain"]["milliseconds"]
    for axes, (quantity, points) in zip(panels, bench["curves"].items(), strict=True):
        values = [int(value) for value in points]
        ways = [way for way in next(iter(points.values())) if way != "plain"]
        for number, way in enumerate(ways):
            added = [
                (point[way]["milliseconds"] - point["plain"]["milliseconds"]) / unit
                for point in points.values()
            ]
            axes.plot(
                values,
                added,
                color=COLORS[number],
                linestyle=DASHES[number],
                marker=MARKERS[number],
                label=way,
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(values, [str(value) for value in values], rotation=45)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yscale("log")
        axes.set_xlabel(QUANTITIES[quantity])
    panels[0].set_ylabel("added time\n(plain steps)")
    share_legend(figure, dict(enumerate(panels)))
    return figure
