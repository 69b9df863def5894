"""Handwritten manifests, and rows of tables."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import numpy as np
import pandas as pd

from flatreg.forensics import grim
from flatreg.forensics.reported import Printed

ROUNDINGS = {
    grim.half_up: ROUND_HALF_UP,
    grim.half_even: ROUND_HALF_EVEN,
    grim.truncated: ROUND_FLOOR,
}
# Test counts of scikit-learn's 20 Newsgroups by date, in the order of the class names.
POSTS = [319, 389, 394, 392, 385, 395, 390, 396, 398, 397, 399, 396, 393, 396, 394, 398]
POSTS += [364, 376, 310, 251]


def manifest(source: str, train: list[int], test: list[int]) -> dict[str, Any]:
    return {
        "source": source,
        "classes": len(test),
        "splits": {
            name: {
                "examples": sum(counts),
                "class_counts": {f"class {i}": count for i, count in enumerate(counts)},
            }
            for name, counts in (("train", train), ("test", test))
        },
    }


def fits(text: str, denominator: int, rule: grim.Rule = grim.rounded) -> bool:
    number = Decimal(text)
    printed = Printed(int(number.scaleb(-number.as_tuple().exponent)), -number.as_tuple().exponent)
    return bool(grim.fits(printed, np.array([denominator]), rule)[0])


def pick(frame: pd.DataFrame, **place: Any) -> pd.Series:
    for column, value in place.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def prints(numerator: int, denominator: int, decimals: int, how: str) -> Printed:
    """A fraction as Python's decimals print it; 60 places tell ties from near ties."""
    with localcontext(prec=60):
        exact = Decimal(numerator) / Decimal(denominator)
        return Printed(int(exact.scaleb(decimals).to_integral_value(rounding=how)), decimals)
