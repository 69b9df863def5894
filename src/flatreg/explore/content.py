"""The Explore page: the whole evidence in one self-contained HTML file.

Plots use Vega-Lite for two reasons. A chart is data, so the charts are specified in Python and the
page only passes them rows. And the library can be embedded as one script, so the file needs no
network and opens from disk, today and in ten years. All else is plain JavaScript in page.js, which
inserts text as text nodes only.

References:
    A. Satyanarayan, D. Moritz, K. Wongsuphasawat, J. Heer. Vega-Lite: A grammar of interactive
    graphics. IEEE TVCG 23(1), 2017. doi:10.1109/TVCG.2016.2599030.
    M. Okabe, K. Ito. Color universal design. 2008. (The colours.)
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
from flatreg.publish.answers import Answer
from flatreg.tables.evidence import VERDICTS

# Significant digits on the page; the study's tables keep all.
DIGITS = 6
CURVE_DIGITS = 5

# Metrics of a run that the page can show, with their titles.
# `last_` is of the last epoch's parameters; the others are of the kept ones.
RUN_METRICS = {
    "last_test_accuracy": "test accuracy, last epoch",
    "last_tr_h2": "tr(H²), training examples, last epoch",
    "strength": "strength of the penalty, |w ∇tr(H²)| / |∇L|",
    "last_train_accuracy": "training accuracy, last epoch",
    "last_validation_accuracy": "validation accuracy, last epoch",
    "last_test_loss": "test loss (nats), last epoch",
    "last_train_loss": "training loss (nats), last epoch",
    "last_validation_loss": "validation loss (nats), last epoch",
    "last_accuracy_gap": "training minus test accuracy, last epoch",
    "last_loss_gap": "test minus training loss (nats), last epoch",
    "last_test_calibration_error": "calibration error on test examples, last epoch",
    "last_lambda_max": "largest eigenvalue of H, training examples, last epoch",
    "last_parameter_norm": "norm of the parameters, last epoch",
    "test_accuracy": "test accuracy",
    "best_test_accuracy": "best test accuracy over the epochs",
    "validation_accuracy": "validation accuracy",
    "train_accuracy": "training accuracy",
    "test_loss": "test loss (nats)",
    "train_loss": "training loss (nats)",
    "accuracy_gap": "training minus test accuracy",
    "loss_gap": "test minus training loss (nats)",
    "test_calibration_error": "calibration error on test examples",
    "tr_h2": "tr(H²), training examples",
    "test_tr_h2": "tr(H²), test examples",
    "tr_h2_training": "tr(H²), mean of the estimates in training",
    "tr_h": "tr(H), training examples",
    "lambda_max": "largest eigenvalue of H, training examples",
    "parameter_norm": "norm of the parameters",
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
    "strength": "strength of the penalty",
    "gradient_norm": "norm of the gradient",
}
RUN_NAMES = [*tables.RUN, "key", "status"]
CORRELATIONS = ("correlation", "partial_correlation")
PLANES = ("plain_surface", "penalized_surface")
LINES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")

Columns = dict[str, list[Any]]


def render(content: dict[str, Any]) -> str:
    """The HTML of the page.

    Args:
        content: of `gather`.
    """
    parts = resources.files(__package__)

    def part(name: str) -> str:
        return parts.joinpath(name).read_text(encoding="utf-8")

    return Template(part("page.html")).substitute(
        style=part("page.css"),
        libraries=in_script(vl_convert.javascript_bundle()),
        script=in_script(part("page.js")),
        data=as_data(content),
    )


def in_script(text: str) -> str:
    """JavaScript that can neither end the script element around it nor open a comment.

    `</script` and `<!--` occur only within strings, where a backslash before / or ! has no effect.
    """
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def as_data(content: dict[str, Any]) -> str:
    """JSON that is safe in a script element, because every < is escaped."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def gather(
    study: Config,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    ledger: tuple[pd.DataFrame, pd.DataFrame] | None,
    flatness: pd.DataFrame,
    surfaces: dict[str, dict[str, np.ndarray]],
    answered: list[Answer],
) -> dict[str, Any]:
    """All that the page shows, as JSON types.

    Args:
        study: completed config.
        runs: of `flatreg.tables.derived.of_runs`.
        epochs: the table epochs.csv.
        ledger: the tables claims.csv and claim_runs.csv; None if the study has no ledger.
        flatness: the table flatness.csv.
        surfaces: arrays of each data set's surface file, by data set.
        answered: the short answer; empty if the study has none.

    Raises:
        UserError: a table names a run that metrics.csv lacks.
    """
    rows = pd.Series(range(len(runs)), index=runs["key"])
    metrics = {name: text for name, text in RUN_METRICS.items() if runs[name].notna().any()}
    curves = [name for name in CURVES if epochs[name].notna().any()]
    surface = study["surface"]
    return {
        "answers": [_without_marks(answer) for answer in answered],
        "verdicts": VERDICTS,
        "families": labels.FAMILIES,
        "level": 1 - study["analysis"]["alpha"],
        "main": main_protocols(study),
        "surface": {name: surface[name] for name in ("protocol", "lambda", "seed")},
        "datasets": {name: labels.dataset(name) for name in runs["dataset"].unique()},
        "metrics": metrics,
        "curves": {name: CURVES[name] for name in curves},
        "runs": columns(runs[[*RUN_NAMES, *metrics]], DIGITS),
        "epochs": {
            "run": _row_of_cells(runs, epochs),
            **columns(epochs[["epoch", *curves]], CURVE_DIGITS),
        },
        **_ledger(rows, ledger),
        "flatness": _measures(rows, flatness),
        "measures": {name: labels.measure_in_words(name) for name in flatness["measure"].unique()},
        "surfaces": {name: _surface(arrays) for name, arrays in surfaces.items()},
        "charts": charts.specs(),
    }


def _without_marks(answer: Answer) -> dict[str, Any]:
    """An answer as text; names of protocols are not marked as code."""
    places = [place.replace("`", "") for place in answer.places]
    return {
        "question": answer.question,
        "answer": answer.answer,
        "numbers": answer.numbers,
        "places": places,
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
    """A table's columns; floats are rounded to significant digits, missing values are None."""
    return {
        name: rounded(column, digits)
        if pd.api.types.is_float_dtype(column)
        else [None if pd.isna(v) else getattr(v, "item", lambda v=v: v)() for v in column]
        for name, column in frame.items()
    }


def rounded(values: Iterable[float], digits: int) -> list[float | None]:
    """Numbers rounded to significant digits; NaN and infinity become None."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values]


def target(claim: pd.Series) -> str | None:
    """The metric that a claim about a correlation correlates with, parsed from its comparison."""
    if claim["test"] not in CORRELATIONS:
        return None
    metric = claim["comparison"].removeprefix("correlation with ").partition(",")[0]
    return metric if metric in RUN_METRICS else None


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
        run = " ".join(str(first[name]) for name in tables.RUN)
        raise UserError(
            f"epochs.csv: run {run} is not in metrics.csv; make both from the same runs"
        )
    return rows["row"].astype(int).tolist()


def _measures(rows: pd.Series, flatness: pd.DataFrame) -> dict[str, list[float | None]]:
    """The values of each measure, one per run in the order of the runs."""
    by_measure = {}
    for name, group in flatness.groupby("measure", sort=False):
        values = np.full(len(rows), np.nan)
        values[_row_of_keys(rows, group["key"], "flatness.csv")] = group["value"]
        by_measure[name] = rounded(values, DIGITS)
    return by_measure


def _surface(arrays: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """A surface's arrays, planes flattened row by row; None if a run diverged."""
    if arrays["diverged"].size:
        return None
    names = ["alphas", "coordinates", *LINES, *PLANES]
    return {name: rounded(arrays[name].astype(float).ravel(), DIGITS) for name in names}
