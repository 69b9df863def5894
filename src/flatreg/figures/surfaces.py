"""Figures of the loss between and around two solutions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from flatreg import labels
from flatreg.config import BASELINE, Config
from flatreg.figures.style import COLORS, DASHES, WIDTH, share_legend, write_across

# The arrays of each data set's surface file, by data set.
Surfaces = dict[str, dict[str, np.ndarray]]


def draw_interpolation(study: Config, surfaces: Surfaces) -> Figure:
    """Loss and accuracy on the line from the solution at lambda 0 to that at a larger lambda."""
    lam = study["surface"]["lambda"]
    rows = [("loss", "loss (nats)"), ("accuracy", "accuracy")]
    figure, panels = plt.subplots(
        2, len(surfaces), figsize=(WIDTH, 2.2), sharex=True, squeeze=False
    )
    for column, (dataset, arrays) in enumerate(surfaces.items()):
        panels[0, column].set_title(labels.dataset(dataset, "\n"))
        for row, (quantity, name) in enumerate(rows):
            axes = panels[row, column]
            if column == 0:
                axes.set_ylabel(name)
            if arrays["diverged"].size:
                write_across(axes, "diverged")
                continue
            for number, split in enumerate(("train", "test")):
                axes.plot(
                    arrays["alphas"],
                    arrays[f"{split}_{quantity}"],
                    color=COLORS[number],
                    linestyle=DASHES[number],
                    label=f"{split} examples",
                )
            if quantity == "loss":
                axes.set_yscale("log")
                axes.yaxis.set_minor_formatter(NullFormatter())
        panels[1, column].set_xticks([0, 1], [r"$\lambda=0$", rf"$\lambda={lam}$"])
    share_legend(figure, dict(enumerate(panels.flat)))
    return figure


def draw_surface(study: Config, surfaces: Surfaces) -> Figure:
    """Loss on the plane around each solution; both planes of a data set share contour levels."""
    lam = study["surface"]["lambda"]
    figure, panels = plt.subplots(
        2,
        len(surfaces),
        figsize=(WIDTH, 0.85 + 1.4 * (WIDTH / max(3, len(surfaces)))),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for column, (dataset, arrays) in enumerate(surfaces.items()):
        panels[0, column].set_title(labels.dataset(dataset, "\n"))
        planes = [("plain_surface", BASELINE), ("penalized_surface", lam)]
        for row, (name, strength) in enumerate(planes):
            axes = panels[row, column]
            axes.set_aspect("equal")
            if column == 0:
                axes.set_ylabel(rf"$\lambda={strength}$")
            if arrays["diverged"].size:
                write_across(axes, "diverged")
                continue
            losses = np.stack([arrays[key] for key, _ in planes])
            levels = np.geomspace(losses.min(), losses.max(), 10)
            contours = axes.contourf(
                arrays["coordinates"],
                arrays["coordinates"],
                arrays[name],
                levels=levels,
                norm="log",
                cmap="cividis",
            )
            axes.contour(contours, colors="black", linewidths=0.3)
            axes.plot(0, 0, marker="+", color="white")
        if not arrays["diverged"].size:
            bar = figure.colorbar(contours, ax=panels[:, column], location="bottom", shrink=0.9)
            ticks = [levels[0], levels[5], levels[-1]]
            bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
            bar.minorticks_off()
            bar.set_label("loss (nats)")
    return figure
