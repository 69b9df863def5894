"""The study's figures, from its tables: `python -m flatreg.figures NAME --help`.

Colours are Okabe and Ito's, which colour-blind readers tell apart; shapes and dashes say the same
again for a reader in grey. Fonts are Computer Modern, the paper's.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from flatreg import labels, statistics, tables
from flatreg.checksums import checked_path
from flatreg.config import main_protocols
from flatreg.datasets.prepared import read_arrays
from flatreg.errors import run_command
from flatreg.evidence.tables import CORRELATIONS_TABLE, GRIM_DENOMINATORS_TABLE
from flatreg.files import read_json

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
# What the bench lets grow.
QUANTITIES = {
    "inputs": "input width",
    "batch": "batch",
    "probes": "probes",
    "layers": "dense layers",
}


def main() -> None:
    """Draw one figure, as PDF for the paper and SVG for the report."""
    arguments = _parse()
    mpl.use("agg")
    # It notes the old time stamp of Computer Modern, which is right, for every glyph subset.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    with mpl.rc_context(STYLE):
        figure = arguments.draw(arguments)
        for suffix in SUFFIXES:
            save(figure, arguments.out.with_suffix(suffix))
        plt.close(figure)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the same figure gives the same bytes."""
    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with checked_path(path) as temporary:
        figure.savefig(temporary, metadata=dates[path.suffix])


def draw_accuracy(metrics: pd.DataFrame, alpha: float) -> Figure:
    """Test accuracy of the kept parameters and of the best epoch against lambda."""
    series = {
        "kept parameters": "test_accuracy",
        "best epoch (looks at the test split)": "best_test_accuracy",
    }
    figure, panels = _grid(metrics)
    for (protocol, dataset), axes in panels.items():
        runs = _runs(metrics, protocol, dataset)
        _against_lambda(axes, runs, series, alpha)
    _name_axes(panels, r"$\lambda$", "test accuracy")
    _share_legend(figure, panels)
    return figure


def draw_flatness(metrics: pd.DataFrame, alpha: float) -> Figure:
    """tr(H^2) of the trained model, and the mean of the estimates in training, against lambda."""
    series = {
        "after training, on training examples": "tr_h2",
        "after training, on test examples": "test_tr_h2",
        "mean of the estimates in training": "tr_h2_training",
    }
    figure, panels = _grid(metrics)
    for (protocol, dataset), axes in panels.items():
        runs = _runs(metrics, protocol, dataset)
        _against_lambda(axes, runs, series, alpha)
        _scale(axes, runs[list(series.values())])
    _name_axes(panels, r"$\lambda$", r"$\mathrm{tr}(H^2)$")
    _share_legend(figure, panels)
    return figure


def draw_flatness_and_accuracy(metrics: pd.DataFrame) -> Figure:
    """Test accuracy against tr(H^2), every run a dot, by lambda."""
    figure, panels = _grid(metrics)
    lambdas = list(dict.fromkeys(metrics["lambda"]))
    for (protocol, dataset), axes in panels.items():
        runs = _runs(metrics, protocol, dataset)
        runs = runs[(runs["status"] != tables.DIVERGED) & (runs["tr_h2"] > 0)]
        for number, lam in enumerate(lambdas):
            cell = runs[runs["lambda"] == lam]
            axes.plot(
                cell["tr_h2"],
                cell["test_accuracy"],
                linestyle="",
                marker=MARKERS[number % len(MARKERS)],
                color=COLORS[number % len(COLORS)],
                markerfacecolor="none",
                markeredgewidth=0.6,
                label=rf"$\lambda={lam}$",
            )
        if not _scale(axes, runs[["tr_h2"]], "x"):
            axes.xaxis.set_major_locator(MaxNLocator(3))
    _name_axes(panels, r"$\mathrm{tr}(H^2)$", "test accuracy")
    _share_legend(figure, panels)
    return figure


def draw_correlations(correlations: pd.DataFrame, target: str) -> Figure:
    """Kendall's tau of each measure of flatness with `target`, plain and with lambda held fixed."""
    shown = correlations[correlations["target"] == target]
    figure, panels = _grid(shown, height=1.75)
    series = {
        "over all runs": ("tau", "low", "high"),
        r"$\lambda$ held fixed": ("partial_tau", "partial_low", "partial_high"),
    }
    for (protocol, dataset), axes in panels.items():
        rows = _runs(shown, protocol, dataset)
        for number, (name, columns) in enumerate(series.items()):
            _intervals(axes, rows, columns, number, name)
        axes.axvline(0, color="grey", linewidth=0.6)
        axes.set_xlim(-1.05, 1.05)
        axes.set_xticks([-1, 0, 1], ["-1", "0", "1"])
        names = [labels.measure(name) for name in rows["measure"]]
        leftmost = dataset == next(d for p, d in panels if p == protocol)
        axes.set_yticks(range(len(rows)), names if leftmost else [], fontsize=5.5)
        axes.set_ylim(len(rows) - 0.4, -0.6)
    _name_axes(panels, r"Kendall's $\tau$", "")
    _share_legend(figure, panels)
    return figure


def _intervals(
    axes: Axes, rows: pd.DataFrame, columns: tuple[str, str, str], number: int, name: str
) -> None:
    """An estimate and its interval a row; one without an interval is left out."""
    places = np.arange(len(rows)) + 0.3 * number - 0.15
    estimate, low, high = (rows[column].to_numpy(float) for column in columns)
    known = np.isfinite(low)
    axes.hlines(places[known], low[known], high[known], color=COLORS[number], linewidth=0.8)
    _dots(axes, estimate[known], places[known], number, name)


def draw_learning_curves(epochs: pd.DataFrame) -> Figure:
    """Training and validation loss after each epoch, mean over seeds, by lambda."""
    figure, panels = _grid(epochs)
    for (protocol, dataset), axes in panels.items():
        runs = _runs(epochs, protocol, dataset)
        axes.set_yscale("log")
        for number, (lam, cell) in enumerate(runs.groupby("lambda", sort=False)):
            means = cell.groupby("epoch")[["train_loss", "validation_loss"]].mean()
            axes.plot(
                means.index,
                means["validation_loss"],
                color=COLORS[number % len(COLORS)],
                linestyle=DASHES[number % len(DASHES)],
                label=rf"$\lambda={lam}$",
            )
            axes.plot(
                means.index,
                means["train_loss"],
                color=COLORS[number % len(COLORS)],
                linestyle=DASHES[number % len(DASHES)],
                alpha=0.4,
                linewidth=0.7,
            )
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
    _name_axes(panels, "epoch", "loss (nats)")
    _share_legend(figure, panels)
    return figure


def draw_interpolation(surfaces: dict[str, dict[str, np.ndarray]], lam: str) -> Figure:
    """Loss and accuracy on the line from the lambda = 0 solution to that of `lam`."""
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
                _say(axes, "diverged")
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
    _share_legend(figure, dict(enumerate(panels.flat)))
    return figure


def draw_surface(surfaces: dict[str, dict[str, np.ndarray]], lam: str) -> Figure:
    """Loss on the plane around each solution, the same levels for both of a data set."""
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
        shown = [("plain_surface", "0"), ("penalized_surface", lam)]
        for row, (name, strength) in enumerate(shown):
            axes = panels[row, column]
            axes.set_aspect("equal")
            if column == 0:
                axes.set_ylabel(rf"$\lambda={strength}$")
            if arrays["diverged"].size:
                _say(axes, "diverged")
                continue
            both = np.stack([arrays[key] for key, _ in shown])
            levels = np.geomspace(both.min(), both.max(), 10)
            drawn = axes.contourf(
                arrays["coordinates"],
                arrays["coordinates"],
                arrays[name],
                levels=levels,
                norm="log",
                cmap="cividis",
            )
            axes.contour(drawn, colors="black", linewidths=0.3)
            axes.plot(0, 0, marker="+", color="white")
        if not arrays["diverged"].size:
            bar = figure.colorbar(drawn, ax=panels[:, column], location="bottom", shrink=0.9)
            ticks = [levels[0], levels[5], levels[-1]]
            bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
            bar.minorticks_off()
            bar.set_label("loss (nats)")
    return figure


def draw_cost(
    times: pd.DataFrame, original: dict[str, dict[str, float]], bench: dict[str, Any]
) -> Figure:
    """Time of training over that of lambda = 0, and of a step by each way to get the penalty.

    Args:
        times: of times.csv.
        original: seconds by data set and lambda, as the original paper reports them.
        bench: of bench/results/cost.json.
    """
    figure, (trainings, steps) = plt.subplots(1, 2, figsize=(WIDTH, 2.1))
    _draw_trainings(trainings, times, original)
    _draw_steps(steps, bench["networks"]["cifar100"]["ways"])
    for axes in (trainings, steps):
        axes.axvline(1, color="grey", linewidth=0.6)
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_yaxis()
    return figure


def _draw_trainings(axes: Axes, times: pd.DataFrame, original: dict[str, dict[str, float]]) -> None:
    """A row a data set, a dot a lambda: each protocol's, then the original's."""
    ratios = cost_ratios(times)
    protocols = list(dict.fromkeys(times["protocol"]))
    datasets = list(dict.fromkeys(times["dataset"]))
    for number, protocol in enumerate(protocols):
        ours = ratios[ratios["protocol"] == protocol]
        places = [datasets.index(d) + 0.2 * number - 0.1 for d in ours["dataset"]]
        _dots(axes, ours["ratio"], places, number, protocol)
    theirs = [
        (datasets.index(dataset), seconds / of_lambda["0"])
        for dataset, of_lambda in original.items()
        if dataset in datasets
        for lam, seconds in of_lambda.items()
        if lam != "0"
    ]
    if theirs:
        _dots(
            axes, [r for _, r in theirs], [p + 0.3 for p, _ in theirs], len(protocols), "original"
        )
    axes.set_title("a training")
    axes.set_yticks(range(len(datasets)), [labels.dataset(d, "\n") for d in datasets])
    axes.set_xlabel(r"time over that of $\lambda=0$, a dot a $\lambda$")
    axes.legend(loc="center right")


def _draw_steps(axes: Axes, ways: dict[str, dict[str, float]]) -> None:
    """A row a way: the penalty in each step, and in every tenth."""
    shown = {name: found for name, found in ways.items() if not name.endswith("plain")}
    for number, (column, name) in enumerate(
        [("ratio", "in each step"), ("ratio_interval", "in every 10th")]
    ):
        ratios = [found[column] for found in shown.values()]
        _dots(axes, ratios, range(len(shown)), number, name)
    axes.set_title("a step of the CIFAR-100 network")
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(-2.2, len(shown) - 0.5)  # room for the legend
    axes.set_xlabel("time over that of a plain step")
    axes.legend(loc="upper right")


def draw_cost_growth(bench: dict[str, Any]) -> Figure:
    """What the penalty adds to a step as one thing grows and all else is the CIFAR-100 network.

    In units of that network's plain step.
    """
    figure, panels = plt.subplots(1, len(bench["curves"]), figsize=(WIDTH, 1.9), sharey=True)
    unit = bench["networks"]["cifar100"]["ways"]["plain"]["milliseconds"]
    for axes, (quantity, points) in zip(panels, bench["curves"].items(), strict=True):
        values = [int(value) for value in points]
        ways = [way for way in next(iter(points.values())) if way != "plain"]
        for number, way in enumerate(ways):
            added = [
                (found[way]["milliseconds"] - found["plain"]["milliseconds"]) / unit
                for found in points.values()
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
    _share_legend(figure, dict(enumerate(panels)))
    return figure


def draw_grim(denominators: pd.DataFrame) -> Figure:
    """How surprising the fit of the original's accuracies to each denominator is.

    Args:
        denominators: of GRIM_DENOMINATORS_TABLE.
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
            # Thousands of dots: as a picture they are a tenth of the size.
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
    _share_legend(figure, dict(enumerate(panels[0])))
    return figure


def cost_ratios(times: pd.DataFrame) -> pd.DataFrame:
    """Median seconds a step of each cell over that of its lambda = 0.

    Returns:
        Columns protocol, dataset, lambda, ratio; cells without a whole epoch are left out.
    """
    finished = times[times["steps"] > 0]
    a_step = (finished["train_seconds"] / finished["steps"].astype(float)).rename("ratio")
    cells = pd.concat([finished[tables.CELL], a_step], axis=1)
    cells = cells.groupby(tables.CELL, sort=False, as_index=False).median()
    plain = cells[cells["lambda"] == "0"].set_index(["protocol", "dataset"])["ratio"]
    cells = cells[cells["lambda"] != "0"].join(plain.rename("plain"), on=["protocol", "dataset"])
    cells["ratio"] /= cells.pop("plain")
    return cells.dropna().reset_index(drop=True)


def _dots(axes: Axes, x: Any, y: Any, number: int, name: str) -> None:
    axes.plot(
        x,
        y,
        linestyle="",
        marker=MARKERS[number],
        color=COLORS[number],
        markerfacecolor="none" if number else COLORS[number],
        label=name,
    )


def _grid(frame: pd.DataFrame, height: float = 1.15) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A panel a protocol and data set: protocols in rows, `height` inches each."""
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


def _runs(frame: pd.DataFrame, protocol: str, dataset: str) -> pd.DataFrame:
    return frame[(frame["protocol"] == protocol) & (frame["dataset"] == dataset)]


def _against_lambda(axes: Axes, runs: pd.DataFrame, series: dict[str, str], alpha: float) -> None:
    """Every seed a dot, the mean and its interval beside them, diverged runs counted below."""
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
    axes.set_xticks(range(len(lambdas)), [labels.short(lam) for lam in lambdas], fontsize=6.5)
    axes.set_xlim(-0.5, len(lambdas) - 0.5)


def _scale(axes: Axes, values: pd.DataFrame, along: str = "y") -> bool:
    """A logarithmic axis, unless the values lie so near that it would have no marks."""
    known = values.to_numpy(dtype=float)
    known = known[np.isfinite(known) & (known > 0)]
    wide = bool(known.size) and known.max() >= 10 * known.min()
    if wide:
        axes.set(**{f"{along}scale": "log"})
        axis = getattr(axes, f"{along}axis")
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_locator(LogLocator(numticks=6 if along == "y" else 4))
    return wide


def _name_axes(panels: dict[tuple[str, str], Axes], x: str, y: str) -> None:
    """Name the outer axes only."""
    first_column, last_row = {}, {}
    for (protocol, dataset), axes in panels.items():
        first_column.setdefault(protocol, axes)
        last_row[dataset] = axes
    for axes in first_column.values():
        axes.set_ylabel(y)
    for axes in last_row.values():
        axes.set_xlabel(x)


def _share_legend(figure: Figure, panels: dict[Any, Axes]) -> None:
    """One legend below for all panels."""
    found: dict[str, Any] = {}
    for axes in panels.values():
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    if found:
        figure.legend(
            found.values(), found.keys(), loc="outside lower center", ncols=min(5, len(found))
        )


def _say(axes: Axes, what: str) -> None:
    axes.text(0.5, 0.5, what, ha="center", va="center", transform=axes.transAxes)
    axes.set_yticks([])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flatreg.figures", description=__doc__)
    names = parser.add_subparsers(required=True, metavar="NAME")

    def command(name: str, draw: Callable[[argparse.Namespace], Figure], *inputs: str) -> None:
        figure = names.add_parser(name)
        for flag in inputs:
            several = "+" if flag == "surfaces" else None
            figure.add_argument(f"--{flag}", type=Path, required=True, nargs=several)
        figure.add_argument("--out", type=Path, required=True, help="the PDF; an SVG goes beside")
        figure.set_defaults(draw=draw)

    command("accuracy", lambda a: draw_accuracy(_metrics(a), _alpha(a)), "config", "metrics")
    command("flatness", lambda a: draw_flatness(_metrics(a), _alpha(a)), "config", "metrics")
    command(
        "flatness_and_accuracy",
        lambda a: draw_flatness_and_accuracy(
            _looked_into(a, tables.read(a.metrics, tables.METRICS_TABLE))
        ),
        "config",
        "metrics",
    )
    command(
        "correlations",
        lambda a: draw_correlations(
            _looked_into(a, tables.read(a.correlations, CORRELATIONS_TABLE)), "test_accuracy"
        ),
        "config",
        "correlations",
    )
    command(
        "learning_curves",
        lambda a: draw_learning_curves(_shown(a, tables.read(a.epochs, tables.EPOCHS_TABLE))),
        "config",
        "epochs",
    )
    command(
        "interpolation",
        lambda a: draw_interpolation(_surfaces(a), _shown_lambda(a)),
        "config",
        "surfaces",
    )
    command("surface", lambda a: draw_surface(_surfaces(a), _shown_lambda(a)), "config", "surfaces")
    command(
        "cost",
        lambda a: draw_cost(
            _shown(a, tables.read(a.times, tables.TIMES_TABLE)),
            _original_seconds(a),
            read_json(a.bench),
        ),
        "config",
        "times",
        "original",
        "bench",
    )
    command(
        "grim",
        lambda a: draw_grim(tables.read(a.denominators, GRIM_DENOMINATORS_TABLE)),
        "denominators",
    )
    command("cost_growth", lambda a: draw_cost_growth(read_json(a.bench)), "bench")
    return parser.parse_args()


def _metrics(arguments: argparse.Namespace) -> pd.DataFrame:
    return _shown(arguments, tables.read(arguments.metrics, tables.METRICS_TABLE))


def _shown(arguments: argparse.Namespace, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the protocols that extend none; the others answer questions of their own."""
    return table[table["protocol"].isin(main_protocols(read_json(arguments.config)))]


def _looked_into(arguments: argparse.Namespace, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the protocol whose solutions are looked into, the one that surfaces are of."""
    return table[table["protocol"] == read_json(arguments.config)["surface"]["protocol"]]


def _alpha(arguments: argparse.Namespace) -> float:
    return read_json(arguments.config)["analysis"]["alpha"]


def _shown_lambda(arguments: argparse.Namespace) -> str:
    return read_json(arguments.config)["surface"]["lambda"]


def _surfaces(arguments: argparse.Namespace) -> dict[str, dict[str, np.ndarray]]:
    return {path.stem: read_arrays(path) for path in arguments.surfaces}


def _original_seconds(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    reported = read_json(arguments.original)["results"]
    return {
        dataset: {row["lambda"]: row["seconds"] for row in rows}
        for dataset, rows in reported.items()
    }


if __name__ == "__main__":
    run_command(main)
