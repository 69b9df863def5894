"""Figures of the runs' results: accuracy, flatness, learning curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from flatreg import statistics, tables
from flatreg.config import Config
from flatreg.figures.style import (
    COLORS,
    DASHES,
    MARKERS,
    add_lambda_bar,
    lambda_color,
    lambda_colors,
    lambda_label,
    name_axes,
    panel_grid,
    runs_of,
    scale_by_range,
    share_legend,
)


def draw_accuracy(study: Config, metrics: pd.DataFrame) -> Figure:
    """Test accuracy after the last epoch, of the kept parameters and of the best epoch."""
    series = {
        "last epoch": "last_test_accuracy",
        "kept parameters": "test_accuracy",
        "best epoch (looks at the test split)": "best_test_accuracy",
    }
    figure, panels = panel_grid(metrics)
    for (protocol, dataset), axes in panels.items():
        runs = runs_of(metrics, protocol, dataset)
        _against_lambda(axes, runs, series, study["analysis"]["alpha"])
    name_axes(panels, r"$\lambda$", "test accuracy")
    share_legend(figure, panels)
    return figure


def draw_flatness(study: Config, metrics: pd.DataFrame) -> Figure:
    """tr(H^2) of the trained model, and the mean of the estimates in training, against lambda."""
    series = {
        "last epoch": "last_tr_h2",
        "kept parameters": "tr_h2",
        "kept, on test examples": "test_tr_h2",
        "mean estimate in training": "tr_h2_training",
    }
    figure, panels = panel_grid(metrics)
    for (protocol, dataset), axes in panels.items():
        runs = runs_of(metrics, protocol, dataset)
        _against_lambda(axes, runs, series, study["analysis"]["alpha"])
        scale_by_range(axes, runs[list(series.values())])
    name_axes(panels, r"$\lambda$", r"$\mathrm{tr}(H^2)$")
    share_legend(figure, panels)
    return figure


def draw_learning_curves(_: Config, epochs: pd.DataFrame) -> Figure:
    """Training and validation loss after each epoch, mean over seeds, by lambda."""
    figure, panels = panel_grid(epochs)
    colors = lambda_colors(epochs["lambda"])
    for (protocol, dataset), axes in panels.items():
        runs = runs_of(epochs, protocol, dataset)
        axes.set_yscale("log")
        for lam, cell in runs.groupby("lambda", sort=False):
            means = cell.groupby("epoch")[["train_loss", "validation_loss"]].mean()
            color = lambda_color(colors, lam)
            axes.plot(means.index, means["validation_loss"], color=color)
            axes.plot(means.index, means["train_loss"], color=color, alpha=0.4, linewidth=0.7)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
    name_axes(panels, "epoch", "loss (nats)")
    add_lambda_bar(figure, panels, colors)
    return figure


def _against_lambda(axes: Axes, runs: pd.DataFrame, series: dict[str, str], alpha: float) -> None:
    """Draw one dot per seed and a line through the means, with counts of diverged runs below."""
    lambdas = list(dict.fromkeys(runs["lambda"]))
    shift = 0.5 / len(series)
    for number, (name, column) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * shift
        means = []
        for place, lam in enumerate(lambdas):
            cell = runs[(runs["lambda"] == lam) & (runs["status"] != tables.DIVERGED)]
            sample = cell[column].dropna().to_numpy()
            spread = np.linspace(-0.05, 0.05, len(sample)) if len(sample) > 1 else np.zeros(1)
            axes.plot(
                place + offset + spread[: len(sample)],
                sample,
                linestyle="",
                marker=MARKERS[number],
                color=COLORS[number],
                markerfacecolor=COLORS[number] if number == 0 else "none",
                markeredgewidth=0.6,
                markersize=2.6,
                alpha=0.7,
                label=name if place == 0 else None,
            )
            summary = statistics.summarize(sample, alpha)
            means.append(summary.mean)
        axes.plot(
            np.arange(len(lambdas)) + offset,
            means,
            color=COLORS[number],
            linestyle=DASHES[number],
            linewidth=0.7,
        )
    for place, lam in enumerate(lambdas):
        count = int((runs[runs["lambda"] == lam]["status"] == tables.DIVERGED).sum())
        if count:
            axes.annotate(
                rf"$\dagger{count}$",
                (place, 0.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                fontsize=7,
            )
    # Of more lambdas than there is room for, every second or third is named.
    names = [
        lambda_label(lam) if place % (1 + len(lambdas) // 5) == 0 else ""
        for place, lam in enumerate(lambdas)
    ]
    axes.set_xticks(range(len(lambdas)), names, fontsize=6.5)
    axes.set_xlim(-0.5, len(lambdas) - 0.5)
