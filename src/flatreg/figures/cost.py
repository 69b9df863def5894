"""Figures of the cost of the penalty."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from flatreg import labels
from flatreg.config import BASELINE, Config
from flatreg.figures.style import COLORS, DASHES, MARKERS, WIDTH, draw_dots, share_legend
from flatreg.tables.derived import cost_ratios

# Axis labels of the quantities that the bench varies.
QUANTITIES = {
    "inputs": "input width",
    "batch": "batch",
    "probes": "probes",
    "layers": "dense layers",
}


def draw_cost(
    _: Config, times: pd.DataFrame, original: dict[str, Any], bench: dict[str, Any]
) -> Figure:
    """Left, training time over that at lambda 0; right, time of a step by each estimator.

    Args:
        times: the table times.csv.
        original: contents of paper/original.json.
        bench: contents of bench/results/cost.json.
    """
    figure, (trainings, steps) = plt.subplots(1, 2, figsize=(WIDTH, 2.1))
    _draw_trainings(trainings, times, original["results"])
    _draw_steps(steps, bench["networks"]["cifar100"]["ways"])
    for axes in (trainings, steps):
        axes.axvline(1, color="grey", linewidth=0.6)
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_yaxis()
    return figure


def _draw_trainings(
    axes: Axes, times: pd.DataFrame, reported: dict[str, list[dict[str, Any]]]
) -> None:
    """One row per data set, one dot per lambda: first each protocol, then the original."""
    ratios = cost_ratios(times)
    protocols = list(dict.fromkeys(times["protocol"]))
    datasets = list(dict.fromkeys(times["dataset"]))
    for number, protocol in enumerate(protocols):
        ours = ratios[ratios["protocol"] == protocol]
        places = [datasets.index(d) + 0.2 * number - 0.1 for d in ours["dataset"]]
        draw_dots(axes, ours["ratio"], places, number, protocol)
    theirs = [
        (datasets.index(dataset), ratio)
        for dataset, rows in reported.items()
        if dataset in datasets
        for ratio in _reported_ratios(rows)
    ]
    if theirs:
        draw_dots(
            axes, [r for _, r in theirs], [p + 0.3 for p, _ in theirs], len(protocols), "original"
        )
    axes.set_title("a training")
    axes.set_yticks(range(len(datasets)), [labels.dataset(d, "\n") for d in datasets])
    axes.set_xlabel(r"time over that of $\lambda=0$, a dot a $\lambda$")
    axes.legend(loc="center right")


def _reported_ratios(rows: list[dict[str, Any]]) -> list[float]:
    """The original's seconds at each lambda above 0, divided by those at lambda 0."""
    seconds = {row["lambda"]: row["seconds"] for row in rows}
    plain = seconds.pop(BASELINE)
    return [value / plain for value in seconds.values()]


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
    axes.set_ylim(-2.2, len(penalized) - 0.5)  # room for the legend
    axes.set_xlabel("time over that of a plain step")
    axes.legend(loc="upper right")


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
