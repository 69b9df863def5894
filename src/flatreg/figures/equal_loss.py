"""Figure of flatness against training loss along the epochs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from flatreg.config import Config
from flatreg.figures.style import (
    add_lambda_bar,
    lambda_color,
    lambda_colors,
    name_axes,
    panel_grid,
    runs_of,
    scale_by_range,
)


def draw_equal_loss(_: Config, epochs: pd.DataFrame) -> Figure:
    """tr(H^2) against training loss after each epoch, geometric means over seeds, by lambda."""
    figure, panels = panel_grid(epochs, height=1.6)
    colors = lambda_colors(epochs["lambda"])
    for (protocol, dataset), axes in panels.items():
        curves = _curves(runs_of(epochs, protocol, dataset))
        for lam, curve in curves.groupby("lambda", sort=False):
            color = lambda_color(colors, lam)
            axes.plot(curve["train_loss"], curve["tr_h2"], color=color, linewidth=0.7)
            axes.plot(curve["train_loss"][-1:], curve["tr_h2"][-1:], marker="o", color=color)
        scale_by_range(axes, curves[["train_loss"]], "x")
        scale_by_range(axes, curves[["tr_h2"]])
    name_axes(panels, "training loss (nats)", r"$\mathrm{tr}(H^2)$")
    add_lambda_bar(figure, panels, colors)
    return figure


def _curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Geometric means over seeds of both quantities, by lambda and epoch."""
    columns = ["train_loss", "tr_h2"]
    positive = runs[(runs[columns] > 0).all(axis=1)]
    logs = positive.assign(**{name: np.log(positive[name]) for name in columns})
    means = logs.groupby(["lambda", "epoch"], sort=False, as_index=False)[columns].mean()
    return means.assign(**{name: np.exp(means[name]) for name in columns})
