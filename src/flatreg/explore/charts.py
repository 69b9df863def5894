"""The page's charts as Vega-Lite specifications.

The page's script passes the rows, and replaces placeholders that begin with @.

Colours are those of the paper's figures, except that black is the page's text colour, which is
visible on a dark page too. Shapes and dashes repeat what colours distinguish.
"""

from __future__ import annotations

from typing import Any

import altair as alt

INK = "currentColor"
COLORS = [INK, "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"]
# As many as have no common factor with the colours: together they tell 35 lambdas apart.
SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down"]
DASHES = [[1, 0], [6, 3], [6, 2, 1, 2], [2, 2], [10, 3]]
# From weak to strong; seen on a light and on a dark page.
STRENGTHS = ["#56B4E9", "#E69F00", "#D55E00"]
X = "M-0.7,-0.7L0.7,0.7M-0.7,0.7L0.7,-0.7"
FONT = "system-ui, sans-serif"
HEIGHT = 260
HEIGHTS = {"plane": 400, "cloud": 200}

CONFIG = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "domainColor": INK,
        "domainOpacity": 0.5,
        "tickColor": INK,
        "tickOpacity": 0.5,
        "gridColor": INK,
        "gridOpacity": 0.12,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "labelOverlap": True,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "orient": "top",
        "symbolStrokeWidth": 1.5,
    },
}

_LAMBDA = "\u03bb"
_RUN_TOOLTIP = ["protocol:N", "dataset:N", alt.Tooltip("lambda:N", title=_LAMBDA), "seed:O"]


def specs() -> dict[str, dict[str, Any]]:
    """Every chart's specification, by its name in page.js."""
    by_name = {
        "cloud": cloud(),
        "dots": dots(),
        "sides": sides(),
        "scatter": scatter(),
        "curves": curves(),
        "plane": plane(),
        "line": line(),
    }
    return {
        name: chart.properties(width="container", height=HEIGHTS.get(name, HEIGHT))
        .configure(**CONFIG)
        .to_dict()
        for name, chart in by_name.items()
    }


def cloud() -> alt.LayerChart:
    """Accuracy against tr(H^2): penalized runs coloured by strength, plain ones as crosses."""
    x = alt.X(
        "x:Q",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(tickCount=4, title="@x", grid=False),
    )
    strength = alt.Color(
        "strength:Q",
        scale=alt.Scale(type="log", range=STRENGTHS, interpolate="rgb", domain=["@strengths"]),
        legend=alt.Legend(title="strength", gradientLength=140, format="~e", tickCount=4),
    )
    tooltip = [*_tooltip("x", "y"), alt.Tooltip("strength:Q", format=".3g")]
    of_strength = alt.FieldValidPredicate(field="strength", valid=True)
    penalized = (
        alt.Chart()
        .transform_filter(of_strength)
        .mark_point(size=26, filled=True, opacity=0.85)
        .encode(x=x, y=_y(), color=strength, tooltip=tooltip)
    )
    plain = (
        alt.Chart()
        .transform_filter(alt.LogicalNotPredicate(**{"not": of_strength}))
        .mark_point(size=50, strokeWidth=1.6, color=INK, shape=X)
        .encode(x=x, y=_y(), tooltip=tooltip)
    )
    return alt.layer(penalized, plain, data=alt.NamedData("rows"))


def dots() -> alt.LayerChart:
    """One dot per run above its group, with a stroke at the mean of the group."""
    return _grouped(_points(alt.Chart()).encode(tooltip=_tooltip("y")))


def sides() -> alt.LayerChart:
    """The same as `dots`, with a colour and shape for each side of a comparison."""
    runs = _points(alt.Chart()).encode(
        color=alt.Color("side:N", title=None, scale=_scale(["@sides"], COLORS[1:])),
        shape=alt.Shape("side:N", title=None, scale=_scale(["@sides"], SHAPES)),
        tooltip=_tooltip("y"),
    )
    return _grouped(runs)


def _grouped(runs: alt.Chart) -> alt.LayerChart:
    """Runs side by side in their groups, with a stroke at the group's mean beside each run."""
    mean = (
        alt.Chart()
        .mark_tick(thickness=1.5, bandSize=9, color=INK, orient="horizontal")
        .encode(tooltip=[alt.Tooltip("mean:Q", title="mean", format=".5g")])
    )
    x = {
        "x": alt.X("group:N", sort=None, axis=alt.Axis(labelAngle=0, title=_LAMBDA)),
        "xOffset": alt.XOffset("seed:O", sort=None),
    }
    layers = mean.encode(y=_y("mean:Q"), **x), runs.encode(y=_y(), **x)
    return alt.layer(*layers, data=alt.NamedData("rows")).transform_joinaggregate(
        mean="mean(y)", groupby=["group"]
    )


def scatter() -> alt.Chart:
    """One dot per run, one quantity against another."""
    return _points(_named("rows")).encode(
        x=alt.X("x:Q", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, title="@x")),
        y=_y(),
        tooltip=_tooltip("x", "y"),
        **_by_lambda(alt.Shape, SHAPES),
    )


def curves() -> alt.Chart:
    """One line per run over its epochs."""
    return (
        _named("rows")
        .mark_line(strokeWidth=1.2, opacity=0.65, clip=True)
        .encode(
            x=alt.X("x:Q", axis=alt.Axis(title="epoch", tickMinStep=1, format="d")),
            y=_y(),
            detail="seed:O",
            tooltip=[
                *_RUN_TOOLTIP,
                alt.Tooltip("x:Q", title="epoch"),
                alt.Tooltip("y:Q", title="value"),
            ],
            **_by_lambda(alt.StrokeDash, DASHES),
        )
    )


def plane() -> alt.Chart:
    """Loss on a plane of two directions, with the solution at its centre."""
    axis = {"labelAngle": 0, "values": [-1, -0.5, 0, 0.5, 1], "grid": False}
    return (
        _named("rows")
        .mark_rect()
        .encode(
            x=alt.X("x:O", axis=alt.Axis(title="first direction", **axis)),
            y=alt.Y("y:O", sort="descending", axis=alt.Axis(title="second direction", **axis)),
            color=alt.Color(
                "z:Q",
                scale=alt.Scale(scheme="cividis", type="log", domain=["@levels"]),
                legend=alt.Legend(title="loss (nats)", gradientLength=160, format=".3~g"),
            ),
            tooltip=["x:O", "y:O", alt.Tooltip("z:Q", title="loss (nats)", format=".5g")],
        )
    )


def line() -> alt.Chart:
    """Loss on the line from the plain to the penalized solution and beyond."""
    names = ["training", "test"]
    return (
        _named("rows")
        .mark_line(strokeWidth=1.6)
        .encode(
            x=alt.X("x:Q", axis=alt.Axis(title="0: plain solution, 1: penalized solution")),
            y=_y(),
            color=alt.Color("split:N", title=None, scale=_scale(names, COLORS[:2])),
            strokeDash=alt.StrokeDash("split:N", title=None, scale=_scale(names, DASHES[:2])),
            tooltip=["split:N", alt.Tooltip("x:Q", title="position"), "y:Q"],
        )
    )


def _named(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name))


def _points(chart: alt.Chart) -> alt.Chart:
    return chart.mark_point(size=34, strokeWidth=1.4, color=COLORS[1])


def _y(field: str = "y:Q") -> alt.Y:
    return alt.Y(field, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6, title="@y"))


def _tooltip(*values: str) -> list[Any]:
    return [*_RUN_TOOLTIP, *(alt.Tooltip(f"{name}:Q", format=".6g") for name in values)]


def _by_lambda(channel: type, values: list[Any]) -> dict[str, Any]:
    second = "shape" if channel is alt.Shape else "strokeDash"
    return {
        "color": alt.Color("lambda:N", title=_LAMBDA, sort=None, scale=alt.Scale(range=COLORS)),
        second: channel("lambda:N", title=_LAMBDA, sort=None, scale=alt.Scale(range=values)),
    }


def _scale(names: list[str], values: list[Any]) -> alt.Scale:
    return alt.Scale(domain=names, range=values)
