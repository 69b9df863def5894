"""Rows of CHECKS_TABLE: a reported number and what it is compared with."""

from __future__ import annotations

import math
from typing import Any

from flatreg.forensics.reported import Reported
from flatreg.tables.reported import CHECKS_TABLE

NAN = float("nan")
Row = dict[str, Any]
Manifest = dict[str, Any]


def row_of(value: Reported, check: str, /, **columns: Any) -> Row:
    """A row of CHECKS_TABLE for a reported number; all other columns are missing."""
    place = {"lambda": value.lam, "column": value.column}
    return row(check, value.dataset, **place, **({"reported": value.printed.value} | columns))


def row(check: str, dataset: str, /, **columns: Any) -> Row:
    """A row of CHECKS_TABLE; all other columns are missing."""
    start = {"check": check, "dataset": dataset, "lambda": "all", "column": "all"}
    return dict.fromkeys(CHECKS_TABLE.columns, NAN) | start | {"unit": "accuracy"} | columns


def row_beside(value: Reported, check: str, /, **columns: Any) -> Row:
    """Compare a reported number with an interval, widened by the number's rounding."""
    number = value.printed
    difference = number.value - columns["value"]
    examples = columns["n_test"] * columns["runs"]
    return row_of(
        value,
        check,
        difference=difference,
        images=difference * examples,
        standard_errors=difference / standard_error(columns["value"], examples),
        consistent=int(
            columns["low"] - number.half <= number.value <= columns["high"] + number.half
        ),
        **columns,
    )


def examples_of(manifest: Manifest, split: str = "test") -> int:
    """Number of examples of a split."""
    return manifest["splits"][split]["examples"]


def standard_error(accuracy: float, examples: int) -> float:
    """Binomial standard error of an accuracy on this many examples."""
    return math.sqrt(accuracy * (1 - accuracy) / examples)
