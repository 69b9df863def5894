"""Reported times of training: ratios, and seconds per epoch and step."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from flatreg.config import BASELINE
from flatreg.forensics.reported import SECONDS, Original, Printed, Reported
from flatreg.forensics.rows import (
    NAN,
    Manifest,
    Row,
    examples_of,
    row_of,
)


def times(original: Original, dataset: str, manifest: Manifest) -> Iterator[Row]:
    """Ratios of the reported seconds, and the implied times of an epoch, a step, the penalty."""
    seconds = original.of(dataset, SECONDS)
    base = original.baseline(dataset, SECONDS)
    penalized = [value for value in seconds if value.lam != BASELINE]
    for value in penalized:
        yield _ratio(original, value, base)
    yield _mean_ratio(original, penalized, base)
    for value in seconds:
        yield from _durations(original, value, manifest)
    for value in penalized:
        interval = original.training[dataset].penalty_interval
        ratio = value.printed.value / base.value
        yield row_of(
            value,
            "application",
            against=f"in each {interval}th step",
            unit="plain steps",
            reported=NAN,
            value=interval * (ratio - 1),
        )


def _ratio(original: Original, value: Reported, base: Printed) -> Row:
    """One lambda's seconds relative to lambda 0, with the bounds that rounding allows."""
    time = value.printed
    low = (time.value - time.half) / (base.value + base.half)
    high = (time.value + time.half) / (base.value - base.half)
    return _compare_ratio(original, value, "lambda 0", time.value / base.value, low, high)


def _mean_ratio(original: Original, penalized: list[Reported], base: Printed) -> Row:
    mean = float(np.mean([value.printed.value for value in penalized])) / base.value
    everyone = penalized[0]._replace(lam="all")
    return _compare_ratio(original, everyone, "mean over lambdas", mean, mean, mean)


def _compare_ratio(
    original: Original, value: Reported, against: str, ratio: float, low: float, high: float
) -> Row:
    stated = original.time_ratios.get(value.dataset)
    columns = {"value": ratio, "low": low, "high": high}
    if stated is None:
        return row_of(value, "time_ratio", against=against, unit="times", reported=NAN, **columns)
    return row_of(
        value,
        "time_ratio",
        against=against,
        unit="times",
        reported=stated.value,
        difference=stated.value - ratio,
        consistent=int(low <= stated.value + stated.half and stated.value - stated.half <= high),
        **columns,
    )


def _durations(original: Original, value: Reported, manifest: Manifest) -> Iterator[Row]:
    """Seconds per epoch and per step, if the whole training split was used."""
    training = original.training[value.dataset]
    steps = math.ceil(examples_of(manifest, "train") / training.batch)
    low = value.printed.value / training.most_epochs
    high = value.printed.value / training.least_epochs if training.least_epochs else NAN
    for check, parts in (("epoch", 1), ("step", steps)):
        yield row_of(
            value,
            check,
            against="epochs and batch as stated",
            unit="s",
            value=low / parts if low == high else NAN,
            low=low / parts,
            high=high / parts,
        )
