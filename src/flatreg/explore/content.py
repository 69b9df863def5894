"""The Explore page: the whole evidence in one HTML file that asks for nothing beyond itself.

The plots are Vega-Lite's, for two reasons: a specification is data, so that the charts are made
here and the page only hands them rows; and the library embeds itself as one script, so that the
file opens from disk, today and in ten years. What the page does beside is plain JavaScript in
page.js; text enters it as text nodes only.

References:
    A. Satyanarayan, D. Moritz, K. Wongsuphasawat, J. Heer. Vega-Lite: A grammar of interactive
    graphics. IEEE TVCG 23(1), 2017. doi:10.1109/TVCG.2016.2599030.
    M. Okabe, K. Ito. Color universal design. 2008. The colours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import vl_convert

from flatreg import labels, tables
from flatreg.config import Config, main_protocols
from flatreg.errors import UserError
from flatreg.explore import charts

# Enough for every plot; tables of the study keep all digits.
DIGITS = 6
CURVE_DIGITS = 5

# What may be shown of a run, as the page calls it.
RUN_METRICS = {
    "test_accuracy": "test accuracy",
    "best_test_accuracy": "best test accuracy over the epochs",
    "validation_accuracy": "validation accuracy",
    "train_accuracy": "training accuracy",
    "test_loss": "test loss (nats)",
    "train_loss": "training loss (nats)",
    "accuracy_gap": "training minus test accuracy",
    "loss_gap": "test minus training loss (nats)",
    "tr_h2": "tr(H²), training examples",
    "test_tr_h2": "tr(H²), test examples",
    "tr_h2_training": "tr(H²), mean of the estimates in training",
    "tr_h": "tr(H), training examples",
    "lambda_max": "largest eigenvalue of H, training examples",
    "parameter_norm": "norm of the parameters",
    "seconds_per_step": "seconds a training step",
    "estimate_ratio": "estimates of tr(H²) over the closed form",
}
CURVES = {
    "validation_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss (nats)",
    "validation_loss": "validation loss (nats)",
    "tr_h2": "tr(H²), coarse",
    "penalty": "penalty (nats)",
    "gradient_norm": "norm of the gradient",
}
MEASURES = {
    "sam_sharpness": "sharpness of SAM",
    "asam_sharpness": "sharpness of ASAM",
    "relative_flatness": "relative flatness of the last layer",
    "fisher_rao_norm": "Fisher-Rao norm",
}
RUN_NAMES = [*tables.RUN, "key", "status"]
CORRELATIONS = ("correlation", "partial_correlation")
PLANES = ("plain_surface", "penalized_surface")
LINES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")

Columns = dict[str, list[Any]]


def render(content: dict[str, Any]) -> str:
    """The page.

    Args:
        content: of `gather`.
    """
    parts = resources.files(__name__)

    def part(name: str) -> str:
        return parts.joinpath(name).read_text(encoding="utf-8")

    return Template(part("page.html")).substitute(
        style=part("page.css"),
        libraries=in_script(vl_convert.javascript_bundle()),
        script=in_script(part("page.js")),
        data=as_data(content),
    )


def in_script(text: str) -> str:
    """JavaScript that cannot end the script element around it, nor open a comment.

    Within a string, where alone these words stand, a backslash before / or ! is without effect.
    """
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def as_data(content: dict[str, Any]) -> str:
    """JSON that may stand in a script element: no < is left as such."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def gather(
    study: Config,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    ledger: tuple[pd.DataFrame, pd.DataFrame] | None,
    flatness: pd.DataFrame,
    surfaces: dict[str, dict[str, np.ndarray]],
) -> dict[str, Any]:
    """All that the page shows, as JSON's types.

    Args:
        study: resolved config.
        runs: of `flatreg.tables.derived.of_runs`.
        epochs: of epochs.csv.
        ledger: of claims.csv and of claim_runs.csv; None where the study has none.
        flatness: of flatness.csv.
        surfaces: arrays of each data set's surface file.

    Raises:
        UserError: a table names a run that metrics.csv has not.
    """
    rows = pd.Series(range(len(runs)), index=runs["key"])
    shown = {name: text for name, text in RUN_METRICS.items() if runs[name].notna().any()}
    known = [name for name in CURVES if epochs[name].notna().any()]
    surface = study["surface"]
    return {
        "level": 1 - study["analysis"]["alpha"],
        "main": main_protocols(study),
        "surface": {name: surface[name] for name in ("protocol", "lambda", "seed")},
        "datasets": {name: labels.dataset(name) for name in runs["dataset"].unique()},
        "metrics": shown,
        "curves": {name: CURVES[name] for name in known},
        "runs": columns(runs[[*RUN_NAMES, *shown]], DIGITS),
        "epochs": {
            "run": _row_of_cells(runs, epochs),
            **columns(epochs[["epoch", *known]], CURVE_DIGITS),
        },
        **_ledger(rows, ledger),
        "flatness": _measures(rows, flatness),
        "measures": {
            name: labels.measure(name, MEASURES, "radius {}")
            for name in flatness["measure"].unique()
        },
        "surfaces": {name: _surface(arrays) for name, arrays in surfaces.items()},
        "charts": charts.specs(),
    }


def _ledger(
    rows: pd.Series, ledger: tuple[pd.DataFrame, pd.DataFrame] | None
) -> dict[str, Columns | None]:
    if ledger is None:
        return {"claims": None, "claim_runs": None}
    claims, behind = ledger
    return {
        "claims": columns(claims, DIGITS) | {"target": [target(c) for _, c in claims.iterrows()]},
        "claim_runs": {
            "run": _row_of_keys(rows, behind["key"], "claim_runs.csv"),
            **columns(behind[["claim", "protocol", "side"]], DIGITS),
        },
    }


def columns(frame: pd.DataFrame, digits: int) -> Columns:
    """A table's columns, floats rounded to significant digits, what is missing as None."""
    return {
        name: rounded(column, digits)
        if pd.api.types.is_float_dtype(column)
        else [None if pd.isna(v) else getattr(v, "item", lambda v=v: v)() for v in column]
        for name, column in frame.items()
    }


def rounded(values: Iterable[float], digits: int) -> list[float | None]:
    """Numbers rounded to significant digits; one that is not finite is None."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values]


def target(claim: pd.Series) -> str | None:
    """What a claim of a correlation correlates with, from how the judge words it."""
    if claim["test"] not in CORRELATIONS:
        return None
    named = claim["comparison"].removeprefix("correlation with ").partition(",")[0]
    return named if named in RUN_METRICS else None


def _row_of_keys(rows: pd.Series, keys: pd.Series, where: str) -> list[int]:
    unknown = keys[~keys.isin(rows.index)]
    if len(unknown):
        raise UserError(
            f"{where}: run {unknown.iloc[0]} is not in metrics.csv; make both from the same runs"
        )
    return rows[keys].tolist()


def _row_of_cells(runs: pd.DataFrame, epochs: pd.DataFrame) -> list[int]:
    numbered = runs[tables.RUN].assign(row=range(len(runs)))
    rows = epochs[tables.RUN].merge(numbered, on=tables.RUN, how="left")
    if rows["row"].isna().any():
        first = rows[rows["row"].isna()].iloc[0]
        named = " ".join(str(first[name]) for name in tables.RUN)
        raise UserError(
            f"epochs.csv: run {named} is not in metrics.csv; make both from the same runs"
        )
    return rows["row"].astype(int).tolist()


def _measures(rows: pd.Series, flatness: pd.DataFrame) -> dict[str, list[float | None]]:
    """Of each measure a value a run, in the order of the runs."""
    found = {}
    for name, group in flatness.groupby("measure", sort=False):
        values = np.full(len(rows), np.nan)
        values[_row_of_keys(rows, group["key"], "flatness.csv")] = group["value"]
        found[name] = rounded(values, DIGITS)
    return found


def _surface(arrays: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """A surface's arrays, planes row by row; None where a run diverged."""
    if arrays["diverged"].size:
        return None
    names = ["alphas", "coordinates", *LINES, *PLANES]
    return {name: rounded(arrays[name].astype(float).ravel(), DIGITS) for name in names}
