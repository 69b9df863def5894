"""Figure of tr(H^2) against the number of examples that it is taken on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from flatreg.config import Config
from flatreg.figures.style import (
    COLORS,
    DASHES,
    MARKERS,
    name_axes,
    panel_grid,
    runs_of,
    scale_by_range,
    share_legend,
)


def draw_sample_sizes(_: Config, sizes: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """tr(H^2) of each run by sample size with the fit a + b/n, a panel per data set.

    Args:
        sizes: the table sample_sizes.csv.
        fits: the table sample_size_fits.csv.
    """
    figure, panels = panel_grid(sizes, height=1.6)
    lambdas = list(dict.fromkeys(sizes["lambda"]))
    for (protocol, dataset), axes in panels.items():
        measured, fitted = runs_of(sizes, protocol, dataset), runs_of(fits, protocol, dataset)
        for number, lam in enumerate(lambdas):
            cell = measured[measured["lambda"] == lam]
            _draw_runs(axes, cell, number, lam)
            for _, fit in fitted[fitted["lambda"] == lam].iterrows():
                _draw_fit(axes, cell["examples"].to_numpy(float), fit["a"], fit["b"], number)
        scale_by_range(axes, measured[["tr_h2"]])
        _mark_sizes(axes, measured)
    name_axes(panels, "examples", r"$\mathrm{tr}(H^2)$")
    share_legend(figure, panels)
    return figure


def _mark_sizes(axes: Axes, runs: pd.DataFrame) -> None:
    """Make the horizontal axis logarithmic, with a tick at each size of samples."""
    samples = runs[runs["examples"] < runs["train_examples"]]
    sizes = sorted(samples["examples"].unique())
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_runs(axes: Axes, runs: pd.DataFrame, number: int, lam: str) -> None:
    """One mark per run and size; of the whole training split, filled."""
    whole = runs["examples"] == runs["train_examples"]
    for some, filled in ((runs[~whole], False), (runs[whole], True)):
        color = COLORS[number % len(COLORS)]
        axes.plot(
            some["examples"].astype(float),
            some["tr_h2"],
            linestyle="",
            marker=MARKERS[number % len(MARKERS)],
            color=color,
            markerfacecolor=color if filled else "none",
            markeredgewidth=0.6,
            label=None if filled else rf"$\lambda={lam}$",
        )


def _draw_fit(axes: Axes, examples: np.ndarray, a: float, b: float, number: int) -> None:
    """The fit a + b/n, and the part of it that is no spread between examples."""
    if not a + b > 0:
        return
    color = COLORS[number % len(COLORS)]
    n = np.geomspace(examples.min(), examples.max(), 100)
    axes.plot(n, a + b / n, color=color, linewidth=0.7)
    if a > 0:
        axes.axhline(a, color=color, linestyle=DASHES[1], linewidth=0.5)
