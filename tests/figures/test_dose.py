"""Figures of dose and response: each run stands where its numbers say, and none is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from flatreg.figures import arms, dose
from flatreg.figures.style import STYLE

LAMBDAS = ["0", "1", "10", "1000"]
SEEDS = [0, 1, 2]


def training(**fields: Any) -> dict[str, Any]:
    """A training of a completed config, with what tells protocols apart."""
    penalty = {"interval": 1, "scaling": "per_application", "warmup": 0.2}
    plain = {"search": {"lambda": None}, "lambdas": LAMBDAS, "seeds": SEEDS, "clip_norm": None}
    return plain | {"penalty": penalty, "epochs": 5} | fields


def protocol(extends: str | None, **fields: Any) -> dict[str, Any]:
    return {"extends": extends, "datasets": {"cifar100": training(**fields)}}


FIXED = {"search": {"lambda": "0"}}
TENTH = {"penalty": {"interval": 10, "scaling": "interval_fold", "warmup": 0.2}}
STUDY = {
    "surface": {"protocol": "doses"},
    "protocols": {
        "doses": protocol(None),
        "doses_fixed": protocol("doses", **FIXED),
        "clipped": protocol("doses_fixed", clip_norm=5.0, **FIXED),
        "tenth": protocol("doses_fixed", **TENTH, **FIXED),
        "tenth_clipped": protocol("clipped", **TENTH, clip_norm=5.0, **FIXED),
        "longer": protocol("doses", epochs=9, **FIXED),
        "only_order": protocol("doses", varies=["order"]),
        "another": protocol(None, **FIXED),
    },
}


def flatness(lam: str, seed: int) -> float:
    """tr(H^2) of a run: that of its seed, less the stronger the penalty."""
    return 100.0 * (1 + seed) / (1 + float(lam))


def metrics(protocols: list[str], diverged: tuple[str, ...] = ()) -> pd.DataFrame:
    """Runs of each protocol whose strength is a hundredth of lambda; these lambdas diverge."""
    rows = []
    for name in protocols:
        for lam in LAMBDAS:
            for seed in SEEDS:
                finite = lam not in diverged
                row = {"protocol": name, "dataset": "cifar100", "lambda": lam, "seed": seed}
                row["status"] = "completed" if finite else "diverged"
                row["strength"] = (float(lam) / 100 if finite else np.inf) if lam != "0" else np.nan
                for epoch in ("", "last_"):
                    row[f"{epoch}test_accuracy"] = 0.3 - float(lam) / 1e4 + seed / 1e3
                    row[f"{epoch}tr_h2"] = flatness(lam, seed) if finite else np.nan
                rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        yield
    plt.close("all")


def points(axes: Axes, name: str) -> list[tuple[float, float]]:
    """The dots of the series with this name in the legend."""
    return [
        (float(x), float(y))
        for line in axes.lines
        if line.get_label() == name
        for x, y in line.get_xydata()
    ]


def test_protocols_are_told_apart_by_what_they_change() -> None:
    assert arms.with_fixed_rates(STUDY, "doses") == ["doses_fixed"]
    assert arms.arms_of(STUDY, "doses") == {
        "doses_fixed": "every step",
        "clipped": "every step, clipped",
        "tenth": "every 10th step, 10-fold weight",
        "tenth_clipped": "every 10th step, 10-fold weight, clipped",
    }
    assert arms.with_fixed_rates(STUDY, "another") == []
    assert arms.arms_of(STUDY, "another") == {"another": "every step"}


def test_flatness_is_over_that_of_plain_training_with_the_same_seed() -> None:
    runs = metrics(["doses"])
    plain = runs[runs["lambda"] == "0"]
    shown = dose.responses(runs, plain, "last_tr_h2")
    assert set(shown["lambda"]) == {"1", "10", "1000"}
    np.testing.assert_allclose(shown["value"], 1 / (1 + shown["lambda"].astype(float)))
    sharper = runs.assign(last_tr_h2=2 * runs["last_tr_h2"])
    shown = dose.responses(sharper, plain, "last_tr_h2")
    np.testing.assert_allclose(shown["value"], 2 / (1 + shown["lambda"].astype(float)))
    accuracy = dose.responses(runs, plain, "last_test_accuracy")
    assert accuracy["value"].tolist() == accuracy["last_test_accuracy"].tolist()


def test_a_lambda_stands_at_its_median_strength() -> None:
    placed = dose.placed(metrics(["doses"], diverged=("1000",)))
    places = placed.groupby("lambda")["place"].first()
    assert places["1"] == pytest.approx(0.01)
    assert places["10"] == pytest.approx(0.1)
    assert places["1000"] == pytest.approx(10), "strength would grow as lambda does"
    assert np.isnan(places["0"])
    overflown = dose.placed(metrics(["doses"], diverged=("1", "10", "1000")))
    assert overflown["place"].isna().all()


def test_every_run_of_a_dose_is_a_dot() -> None:
    runs = metrics(["doses", "doses_fixed"])
    upper, lower = dose.draw_dose_response(STUDY, runs).axes[:2]
    n = len(SEEDS) * (len(LAMBDAS) - 1)
    for name in ("rates of its own, last epoch", "rates of plain training, last epoch"):
        assert len(points(upper, name)) == len(points(lower, name)) == n
    assert len(points(lower, "rates of its own, kept epoch")) == n
    assert len(points(upper, "plain training")) == len(SEEDS)
    assert points(lower, "rates of its own, last epoch")[0] == pytest.approx((0.01, 0.5))


def test_diverged_runs_are_counted_and_their_lambdas_marked() -> None:
    figure = dose.draw_dose_response(STUDY, metrics(["doses"], diverged=("1000",)))
    upper, lower = figure.axes[:2]
    assert [text.get_text() for text in upper.texts] == ["3 of 9 diverged"]
    (daggers,) = [line for line in upper.lines if "dagger" in str(line.get_marker())]
    assert list(daggers.get_xdata()) == pytest.approx([10])
    assert len(points(lower, "rates of its own, last epoch")) == 6
    assert not dose.draw_dose_response(STUDY, metrics(["doses"])).axes[0].texts


def test_a_study_of_which_every_penalized_run_diverged_is_drawn() -> None:
    runs = metrics(["doses"], diverged=("1", "10", "1000"))
    dose.draw_dose_response(STUDY, runs).canvas.draw()
    dose.draw_flatness_and_accuracy(STUDY, runs).canvas.draw()


def test_the_cloud_has_penalized_runs_in_colours_and_plain_ones_as_crosses() -> None:
    runs = metrics(["doses", "clipped"], diverged=("1000",))
    figure = dose.draw_flatness_and_accuracy(STUDY, runs)
    axes = figure.axes[0]
    assert len(points(axes, "plain training")) == len(SEEDS)
    (cloud,) = axes.collections
    assert len(cloud.get_offsets()) == 2 * len(SEEDS)
    weak, strong = cloud.get_facecolors()[[0, -1]]
    assert weak[:3].sum() > strong[:3].sum(), "stronger is darker"


def test_each_arm_of_intermittence_has_its_runs_and_its_count_of_diverged_ones() -> None:
    runs = metrics(["doses", "doses_fixed", "clipped", "tenth"], diverged=())
    lost = (runs["protocol"] == "tenth") & (runs["lambda"] == "1000")
    runs.loc[lost, ["status", "strength"]] = ["diverged", np.inf]
    upper, lower = dose.draw_intermittence(STUDY, runs).axes[:2]
    for axes in (upper, lower):
        assert [text.get_text() for text in axes.texts] == [r"$\dagger3$"]
    labels = [text.get_text() for text in upper.figure.legends[0].get_texts()]
    assert labels == ["every step", "every step, clipped", "every 10th step, 10-fold weight"]


def test_a_study_with_one_arm_says_so() -> None:
    study = STUDY | {"protocols": {"doses": STUDY["protocols"]["doses"]}}
    (axes,) = dose.draw_intermittence(study, metrics(["doses"])).axes
    assert axes.texts[0].get_text() == "this study has the penalty at one interval only"
