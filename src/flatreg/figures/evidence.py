"""Figures of the evidence: correlations, the GRIM test."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from flatreg import labels
from flatreg.config import Config
from flatreg.figures.style import (
    COLORS,
    DASHES,
    MARKERS,
    WIDTH,
    draw_dots,
    name_axes,
    panel_grid,
    runs_of,
    share_legend,
)

# Height of a row of measures, in inches.
ROW = 0.16


def draw_correlations(_: Config, correlations: pd.DataFrame) -> Figure:
    """Kendall's tau of each measure with test accuracy, plain, at fixed lambda and at equal fit."""
    of_accuracy = correlations[correlations["target"] == "test_accuracy"]
    figure, panels = panel_grid(of_accuracy, height=ROW * of_accuracy["measure"].nunique())
    series = {
        "over all runs": ("tau", "low", "high"),
        r"$\lambda$ held fixed": ("partial_tau", "partial_low", "partial_high"),
        "training accuracy held fixed": ("fit_tau", "fit_low", "fit_high"),
    }
    for (protocol, dataset), axes in panels.items():
        rows = runs_of(of_accuracy, protocol, dataset)
        for number, (name, columns) in enumerate(series.items()):
            _intervals(axes, rows, columns, number, name)
        axes.axvline(0, color="grey", linewidth=0.6)
        axes.set_xlim(-1.05, 1.05)
        axes.set_xticks([-1, 0, 1], ["-1", "0", "1"])
        names = [labels.measure(name) for name in rows["measure"]]
        leftmost = dataset == next(d for p, d in panels if p == protocol)
        axes.set_yticks(range(len(rows)), names if leftmost else [], fontsize=5.5)
        axes.set_ylim(len(rows) - 0.4, -0.6)
    name_axes(panels, r"Kendall's $\tau$", "")
    share_legend(figure, panels)
    return figure


def _intervals(
    axes: Axes, rows: pd.DataFrame, columns: tuple[str, str, str], number: int, name: str
) -> None:
    """Draw one estimate with its interval per row; rows without an interval are left out."""
    places = np.arange(len(rows)) + 0.25 * (number - 1)
    estimate, low, high = (rows[column].to_numpy(float) for column in columns)
    known = np.isfinite(low)
    axes.hlines(places[known], low[known], high[known], color=COLORS[number], linewidth=0.8)
    draw_dots(axes, estimate[known], places[known], number, name)


def draw_grim(_: Config, denominators: pd.DataFrame) -> Figure:
    """The chance that random numbers fit each denominator as well as the original's accuracies do.

    Args:
        denominators: GRIM_DENOMINATORS_TABLE.
    """
    datasets = list(dict.fromkeys(denominators["dataset"]))
    figure, panels = plt.subplots(
        1, len(datasets), figsize=(WIDTH, 2.0), sharex=True, sharey=True, squeeze=False
    )
    for axes, dataset in zip(panels[0], datasets, strict=True):
        scan = denominators[denominators["dataset"] == dataset]
        whole = scan["fitting"] == scan["values"]
        for number, (name, some) in enumerate(
            [("not all values fit", scan[~whole]), ("all values fit", scan[whole])]
        ):
            # Rasterized, as thousands of dots would make the file ten times larger.
            axes.plot(
                some["denominator"].astype(float),
                some["chance"],
                linestyle="",
                marker=MARKERS[2 * number],
                color=("grey", COLORS[1])[number],
                markersize=(1, 2.6)[number],
                label=name,
                rasterized=True,
            )
        axes.axhline(
            1 / len(scan),
            color=COLORS[4],
            linestyle=DASHES[1],
            linewidth=0.7,
            label="one in as many as were tried",
        )
        least = scan.loc[scan["chance"].idxmin()]
        axes.annotate(
            f"{int(least['denominator'])}: {least['fitting']} of {least['values']} fit",
            (float(least["denominator"]), least["chance"]),
            xytext=(4, -5),
            textcoords="offset points",
            va="top",
            fontsize=7,
        )
        axes.set_title(labels.dataset(dataset))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(bottom=denominators["chance"].min() / 100)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("test examples times runs")
    panels[0, 0].set_ylabel("chance of as many fits")
    share_legend(figure, dict(enumerate(panels[0])))
    return figure
