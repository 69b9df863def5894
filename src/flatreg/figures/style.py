"""The style of all figures: size, colours, markers, panels and legends.

The colours are Okabe and Ito's, which colour-blind readers can tell apart. Shapes and dashes repeat
the distinction for print in grey. The font is Computer Modern, as in the paper.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import LogLocator, NullFormatter

from flatreg import labels
from flatreg.disk.files import checked_path

# The paper's text width, in inches.
WIDTH = 6.69
COLORS = ["#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]
STYLE = {
    "font.family": "cmr10",
    "mathtext.fontset": "cm",
    "axes.formatter.use_mathtext": True,
    "axes.unicode_minus": False,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "flatreg",
}
SUFFIXES = (".pdf", ".svg")


def use(style: dict[str, Any]) -> None:
    """Draw from now on in a style, with Matplotlib's own defaults for what it leaves open.

    The user's matplotlibrc must not reach a figure, nor their fonts: TeX's fonts that are installed
    for a user have the names of Matplotlib's.
    """
    mpl.rcdefaults()
    fonts = Path(mpl.get_data_path())
    fontManager.ttflist = [
        font for font in fontManager.ttflist if Path(font.fname).is_relative_to(fonts)
    ]
    mpl.rcParams.update(style)


def save(figure: Figure, path: Path) -> None:
    """Write a figure without dates, so that the same figure gives the same bytes."""
    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with checked_path(path) as temporary:
        figure.savefig(temporary, metadata=dates[path.suffix])


def draw_dots(axes: Axes, x: Any, y: Any, number: int, name: str) -> None:
    """Draw dots in the colour and shape with this number; only number 0 is filled."""
    axes.plot(
        x,
        y,
        linestyle="",
        marker=MARKERS[number],
        color=COLORS[number],
        markerfacecolor="none" if number else COLORS[number],
        label=name,
    )


def panel_grid(
    frame: pd.DataFrame, height: float = 1.15
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """One panel per protocol and data set: a row per protocol, `height` inches high."""
    pairs = list(dict.fromkeys(zip(frame["protocol"], frame["dataset"], strict=True)))
    protocols = list(dict.fromkeys(protocol for protocol, _ in pairs))
    datasets = list(dict.fromkeys(dataset for _, dataset in pairs))
    figure, axes = plt.subplots(
        len(protocols),
        len(datasets),
        figsize=(WIDTH, 0.4 + height * len(protocols)),
        squeeze=False,
    )
    panels = {}
    for row, protocol in enumerate(protocols):
        for column, dataset in enumerate(datasets):
            panel = axes[row, column]
            if (protocol, dataset) not in pairs:
                panel.set_axis_off()
                continue
            name, _, reading = labels.dataset(dataset).partition(", ")
            below = f"{reading}, {protocol}" if reading else protocol
            panel.set_title(f"{name}\n{below}", fontsize=7)
            panels[protocol, dataset] = panel
    return figure, panels


def runs_of(frame: pd.DataFrame, protocol: str, dataset: str) -> pd.DataFrame:
    """The rows of one data set of one protocol."""
    return frame[(frame["protocol"] == protocol) & (frame["dataset"] == dataset)]


def scale_by_range(axes: Axes, values: pd.DataFrame, along: str = "y") -> bool:
    """Make an axis logarithmic if the values span a factor of 10; return whether they do.

    With a smaller range a logarithmic axis could have no ticks.
    """
    known = values.to_numpy(dtype=float)
    known = known[np.isfinite(known) & (known > 0)]
    wide = bool(known.size) and known.max() >= 10 * known.min()
    if wide:
        axes.set(**{f"{along}scale": "log"})
        axis = getattr(axes, f"{along}axis")
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_locator(LogLocator(numticks=6 if along == "y" else 4))
    return wide


def lambda_label(lam: str) -> str:
    """A lambda for an axis, as a power of ten where it is a large or small one."""
    value = float(lam)
    if value == 0:
        return "0"
    exponent = int(np.floor(np.log10(value)))
    if -2 <= exponent <= 2:
        return labels.short(f"{value:g}")
    factor = value / 10.0**exponent
    sign = "" if np.isclose(factor, 1) else rf"{factor:g}\cdot"
    return rf"${sign}10^{{{exponent}}}$"


def lambda_colors(lambdas: pd.Series) -> ScalarMappable:
    """A scale of colours from the smallest lambda above 0 to the largest."""
    above = sorted({float(lam) for lam in lambdas.unique()} - {0.0}) or [0.1, 1.0]
    return ScalarMappable(LogNorm(above[0], max(above[-1], 1.01 * above[0])), "viridis_r")


def lambda_color(colors: ScalarMappable, lam: str) -> Any:
    """The colour of a lambda on a scale of `lambda_colors`; plain training is black."""
    return "black" if float(lam) == 0 else colors.to_rgba(float(lam))


def add_lambda_bar(figure: Figure, panels: dict[Any, Axes], colors: ScalarMappable) -> None:
    """Draw the scale of `lambda_colors` beside all panels."""
    bar = figure.colorbar(colors, ax=list(panels.values()), shrink=0.6, aspect=30, pad=0.01)
    bar.set_label(r"$\lambda$ (plain training is black)")


def name_axes(panels: dict[tuple[str, str], Axes], x: str, y: str) -> None:
    """Label the outer axes only."""
    first_column, last_row = {}, {}
    for (protocol, dataset), axes in panels.items():
        first_column.setdefault(protocol, axes)
        last_row[dataset] = axes
    for axes in first_column.values():
        axes.set_ylabel(y)
    for axes in last_row.values():
        axes.set_xlabel(x)


def share_legend(figure: Figure, panels: dict[Any, Axes]) -> None:
    """Draw one legend for all panels, below them."""
    handles: dict[str, Any] = {}
    for axes in panels.values():
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    if handles:
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=min(5, len(handles))
        )


def write_across(axes: Axes, words: str) -> None:
    """Write words in place of a plot."""
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes)
    axes.set_yticks([])
