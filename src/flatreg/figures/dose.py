"""Figures of what the penalty does as it grows: from no effect to collapse.

Data sets share an axis by the penalty's strength |w grad tr(H^2)| / |grad L|, the mean over the
penalized steps of a training. All values are of the last epoch's parameters; one series shows the
kept ones too.
"""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from flatreg import labels, tables
from flatreg.config import BASELINE, Config
from flatreg.figures.arms import arms_of, with_fixed_rates
from flatreg.figures.style import (
    COLORS,
    DASHES,
    MARKERS,
    WIDTH,
    lambda_label,
    runs_of,
    scale_by_range,
    share_legend,
)

STRENGTH = r"strength of the penalty, $|w\,\nabla\mathrm{tr}(H^2)|\,/\,|\nabla L|$"
TR_H2 = r"$\mathrm{tr}(H^2)$"
RELATIVE = TR_H2 + "\nover plain"
ACCURACY = "test accuracy"


def runs_of_protocol(metrics: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The runs of one protocol that did not diverge."""
    return metrics[(metrics["protocol"] == protocol) & (metrics["status"] != tables.DIVERGED)]


# ── Accuracy against flatness ────────────────────────────────────────────────


def draw_flatness_and_accuracy(study: Config, metrics: pd.DataFrame) -> Figure:
    """Test accuracy against tr(H^2), coloured by the penalty's strength; one panel per data set."""
    runs = runs_of_protocol(metrics, study["surface"]["protocol"])
    datasets = list(dict.fromkeys(runs["dataset"]))
    figure, panels = plt.subplots(1, len(datasets), figsize=(WIDTH, 2.0), squeeze=False)
    colors = ScalarMappable(norm=_norm(runs["strength"]), cmap="viridis_r")
    for axes, dataset in zip(panels[0], datasets, strict=True):
        own = runs[(runs["dataset"] == dataset) & (runs["last_tr_h2"] > 0)]
        _draw_cloud(axes, own, colors)
        axes.set_title(labels.dataset(dataset, "\n"))
        if not scale_by_range(axes, own[["last_tr_h2"]], "x"):
            axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.set_xlabel(TR_H2)
    panels[0, 0].set_ylabel(ACCURACY)
    bar = figure.colorbar(colors, ax=panels[0].tolist(), shrink=0.95, aspect=25, pad=0.01)
    bar.set_label("strength of\nthe penalty")
    share_legend(figure, dict(enumerate(panels[0])))
    return figure


def _draw_cloud(axes: Axes, runs: pd.DataFrame, colors: ScalarMappable) -> None:
    """A dot per penalized run in the colour of its strength, and plain runs as black crosses."""
    plain = runs[runs["lambda"] == BASELINE]
    penalized = runs[(runs["lambda"] != BASELINE) & np.isfinite(runs["strength"])]
    axes.scatter(
        penalized["last_tr_h2"],
        penalized["last_test_accuracy"],
        c=colors.to_rgba(penalized["strength"].to_numpy(float)),
        s=7,
        linewidths=0,
        label="with the penalty",
    )
    axes.plot(
        plain["last_tr_h2"],
        plain["last_test_accuracy"],
        linestyle="",
        marker="x",
        color="black",
        markeredgewidth=0.9,
        label="plain training",
    )


def _norm(strengths: pd.Series) -> LogNorm:
    """A logarithmic scale from the smallest to the largest strength."""
    known = strengths[np.isfinite(strengths) & (strengths > 0)]
    if known.empty:
        return LogNorm(0.1, 1)
    return LogNorm(known.min(), max(known.max(), 1.01 * known.min()))


# ── Dose and response ────────────────────────────────────────────────────────


class Series(NamedTuple):
    """Runs of a protocol, measured at one epoch, and the number of their colour and shape."""

    name: str
    protocol: str
    epoch: str
    number: int


def draw_dose_response(study: Config, metrics: pd.DataFrame) -> Figure:
    """Test accuracy and tr(H^2) over plain training's, against the penalty's strength."""
    protocol = study["surface"]["protocol"]
    last = [Series("rates of its own, last epoch", protocol, "last_", 0)] + [
        Series("rates of plain training, last epoch", fixed, "last_", 1)
        for fixed in with_fixed_rates(study, protocol)
    ]
    kept = Series("rates of its own, kept epoch", protocol, "", 2)
    datasets = list(dict.fromkeys(runs_of_protocol(metrics, protocol)["dataset"]))
    figure, panels = plt.subplots(
        2, len(datasets), figsize=(WIDTH, 3.7), sharex="col", squeeze=False
    )
    for (upper, lower), dataset in zip(panels.T, datasets, strict=True):
        runs = {one.protocol: placed(runs_of(metrics, one.protocol, dataset)) for one in last}
        plain = runs[protocol][runs[protocol]["lambda"] == BASELINE]
        _draw_plain(upper, plain, _left_of(runs[protocol]["place"]))
        for one in last:
            _draw_series(upper, runs[one.protocol], plain, "test_accuracy", one)
            _show_diverged(upper, runs[one.protocol], one)
        for one in [kept, *last[::-1]]:
            _draw_series(lower, runs[one.protocol], plain, "tr_h2", one)
        lower.axhline(1, color="grey", linewidth=0.6)
        lower.set_xscale("log")
        lower.xaxis.set_minor_formatter(NullFormatter())
        scale_by_range(lower, responses(runs[protocol], plain, "last_tr_h2")[["value"]])
        _add_lambdas(upper, runs[protocol])
        upper.set_title(labels.dataset(dataset, "\n"))
    panels[0, 0].set_ylabel(ACCURACY)
    panels[1, 0].set_ylabel(RELATIVE)
    panels[1, len(datasets) // 2].set_xlabel(STRENGTH)
    share_legend(figure, dict(enumerate(panels.flat)))
    return figure


def responses(runs: pd.DataFrame, plain: pd.DataFrame, column: str) -> pd.DataFrame:
    """Runs with a penalty, with `value`: accuracy as it is, tr(H^2) over the same seed's plain one.

    Args:
        runs: of one data set of one protocol.
        plain: plain training's runs on that data set, one per seed.
        column: of metrics.csv.
    """
    values = runs[column].where(runs["status"] != tables.DIVERGED)
    if column.endswith("tr_h2"):
        values = values / runs["seed"].map(plain.set_index("seed")[column])
    return runs.assign(value=values)[runs["lambda"] != BASELINE]


def placed(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with `place`, where their lambda stands on the axis of strengths: its median strength.

    A lambda all of whose runs diverged has no strength; it stands where it would if strength grew
    as lambda does.
    """
    finite = runs["strength"].where(np.isfinite(runs["strength"]) & (runs["strength"] > 0))
    medians = finite.groupby(runs["lambda"]).median().drop(BASELINE, errors="ignore")
    known = medians.dropna()
    if known.empty:
        return runs.assign(place=np.nan)
    places = {lam: _place(float(lam), known) for lam in medians.index}
    return runs.assign(place=runs["lambda"].map(places | dict(known)))


def _place(lam: float, known: pd.Series) -> float:
    """The strength of the nearest lambda that has one, times how much larger this lambda is."""
    nearest = min(known.index, key=lambda other: abs(np.log(lam / float(other))))
    return float(known[nearest] * lam / float(nearest))


def _draw_series(
    axes: Axes, runs: pd.DataFrame, plain: pd.DataFrame, metric: str, series: Series
) -> None:
    """A dot per run at its own strength, and a line through the medians of the lambdas."""
    shown = responses(runs, plain, f"{series.epoch}{metric}")
    known = shown[shown["value"].notna() & np.isfinite(shown["strength"])]
    color = COLORS[series.number]
    axes.plot(
        known["strength"],
        known["value"],
        linestyle="",
        marker=MARKERS[series.number],
        markersize=2.2,
        color=color,
        markerfacecolor="none" if series.number else color,
        markeredgewidth=0.4,
        alpha=0.7,
        label=series.name,
    )
    middle = known.groupby("place")["value"].median()
    dashes = DASHES[series.number]
    axes.plot(middle.index, middle, color=color, linestyle=dashes, linewidth=0.8)


def _show_diverged(axes: Axes, runs: pd.DataFrame, series: Series) -> None:
    """A dagger at the place of each lambda with diverged runs, and how many there are in all."""
    runs = runs[runs["lambda"] != BASELINE]
    diverged = runs[runs["status"] == tables.DIVERGED]
    if diverged.empty:
        return
    height, color = 0.03 + 0.09 * series.number, COLORS[series.number]
    places = diverged["place"].dropna().unique()
    floor = axes.get_xaxis_transform()
    axes.plot(
        places,
        np.full(len(places), height + 0.02),
        linestyle="",
        marker=r"$\dagger$",
        markersize=5,
        markeredgewidth=0,
        color=color,
        transform=floor,
    )
    words = f"{len(diverged)} of {len(runs)} diverged"
    axes.text(0.03, height, words, color=color, fontsize=6, transform=axes.transAxes)


def _left_of(places: pd.Series) -> float:
    """A place left of all lambdas; anywhere if none has one."""
    return float(places.min() / 10) if places.notna().any() else 1.0


def _draw_plain(axes: Axes, runs: pd.DataFrame, place: float) -> None:
    """Plain training, which has no strength: a cross per run left of all lambdas, and the mean."""
    values = runs["last_test_accuracy"].dropna()
    axes.plot(
        np.full(len(values), place),
        values,
        linestyle="",
        marker="x",
        color="grey",
        markeredgewidth=0.7,
        label="plain training",
    )
    axes.axhline(values.mean(), color="grey", linewidth=0.6)


def _add_lambdas(axes: Axes, runs: pd.DataFrame) -> None:
    """A second axis on top with the lambdas, each at its place, less those too close together."""
    places = runs[runs["lambda"] != BASELINE].groupby("lambda")["place"].first().dropna()
    shown = _apart(places.sort_values())
    top = axes.secondary_xaxis("top")
    top.set_xticks(shown.to_numpy(), [lambda_label(lam) for lam in shown.index], fontsize=6)
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel(r"$\lambda$", labelpad=1, fontsize=7)


def _apart(places: pd.Series, least: float = 0.22) -> pd.Series:
    """The largest place and those below it that are a share `least` of the whole width apart."""
    kept: list[str] = []
    width = np.log(places.max() / places.min()) if len(places) else 0.0
    for lam in places.index[::-1]:
        if not kept or np.log(places[kept[-1]] / places[lam]) >= least * width:
            kept.append(lam)
    return places[kept]


# ── Intermittence ────────────────────────────────────────────────────────────


def draw_intermittence(study: Config, metrics: pd.DataFrame) -> Figure:
    """The penalty in every step and in every k-th, at one mean weight, with and without clip."""
    base = study["surface"]["protocol"]
    arms = {n: arm for n, arm in arms_of(study, base).items() if n in set(metrics["protocol"])}
    runs = metrics[metrics["protocol"].isin(arms)]
    datasets = [d for d in dict.fromkeys(runs["dataset"]) if _has_arms(runs, d)]
    if not datasets:
        return _nothing("this study has the penalty at one interval only")
    figure, panels = plt.subplots(
        2, len(datasets), figsize=(WIDTH, 3.2), sharex="col", squeeze=False
    )
    for (upper, lower), dataset in zip(panels.T, datasets, strict=True):
        own, plain = runs[runs["dataset"] == dataset], runs_of(metrics, base, dataset)
        plain = plain[plain["lambda"] == BASELINE]
        lambdas = _shared_lambdas(own)
        for axes, metric in ((upper, "last_test_accuracy"), (lower, "last_tr_h2")):
            for number, (protocol, arm) in enumerate(arms.items()):
                shown = responses(own[own["protocol"] == protocol], plain, metric)
                _draw_arm(axes, shown, lambdas, number, len(arms), arm)
        lower.axhline(1, color="grey", linewidth=0.6)
        shared = own[own["lambda"].isin(lambdas)]
        scale_by_range(lower, responses(shared, plain, "last_tr_h2")[["value"]])
        lower.set_xticks(range(len(lambdas)), [lambda_label(lam) for lam in lambdas])
        lower.set_xlim(-0.5, len(lambdas) - 0.5)
        lower.set_xlabel(r"$\lambda$")
        upper.set_title(labels.dataset(dataset, "\n"))
    panels[0, 0].set_ylabel(ACCURACY)
    panels[1, 0].set_ylabel(RELATIVE)
    share_legend(figure, dict(enumerate(panels.flat)))
    return figure


def _draw_arm(
    axes: Axes, runs: pd.DataFrame, lambdas: list[str], number: int, arms: int, name: str
) -> None:
    """A dot per run beside those of other arms, a stroke at the mean, diverged runs counted."""
    for place, lam in enumerate(lambdas):
        cell = runs[runs["lambda"] == lam]
        values = cell["value"].dropna().to_numpy(float)
        x = place + 0.8 * ((number + 0.5) / arms - 0.5)
        axes.plot(
            x + np.linspace(-0.05, 0.05, len(values)),
            values,
            linestyle="",
            marker=MARKERS[number],
            markersize=2.4,
            color=COLORS[number],
            markerfacecolor="none",
            markeredgewidth=0.5,
            label=name if place == 0 else None,
        )
        if len(values):
            axes.hlines(np.mean(values), x - 0.08, x + 0.08, color=COLORS[number], linewidth=1.2)
        diverged = int((cell["status"] == tables.DIVERGED).sum())
        if diverged:
            axes.annotate(
                rf"$\dagger{diverged}$",
                (x, 0.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                fontsize=6.5,
                color=COLORS[number],
            )


def _has_arms(runs: pd.DataFrame, dataset: str) -> bool:
    return runs.loc[runs["dataset"] == dataset, "protocol"].nunique() > 1


def _shared_lambdas(runs: pd.DataFrame) -> list[str]:
    """The lambdas above 0 that every protocol of the runs has, in order."""
    sets = [set(group) for _, group in runs.groupby("protocol")["lambda"]]
    return sorted(set.intersection(*sets) - {BASELINE}, key=float)


def _nothing(words: str) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 0.6))
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center")
    return figure
