"""Reported standard deviations: the part from the test set, and the counts that print as them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from flatreg.errors import UserError
from flatreg.forensics import grim
from flatreg.forensics.predictions import names_by_count
from flatreg.forensics.reported import Original, Printed, Reported
from flatreg.forensics.rows import (
    NAN,
    Manifest,
    Row,
    examples_of,
    row_of,
    standard_error,
)
from flatreg.tables.reported import TRIPLES_TABLE


def spreads(original: Original, dataset: str, n_test: int, alpha: float) -> Iterator[Row]:
    """Compare reported standard deviations with binomial ones; add the interval of the mean.

    `chance` is the probability of at least this deviation if all runs are equally good (chi
    squared).
    """
    runs = original.runs
    for deviation in original.deviations:
        if deviation.dataset != dataset:
            continue
        sd, mean = deviation.printed.value, _mean_of(original, deviation)
        error = standard_error(mean.value, n_test)
        yield row_of(
            deviation,
            "spread",
            against="binomial",
            n_test=n_test,
            runs=1,
            value=error,
            difference=sd - error,
            chance=stats.chi2.sf((runs - 1) * (sd / error) ** 2, runs - 1),
        )
        low, high = stats.t.interval(1 - alpha, runs - 1, mean.value, sd / math.sqrt(runs))
        yield row_of(
            deviation,
            "interval",
            against="standard error from the reported deviation",
            n_test=n_test,
            runs=runs,
            reported=mean.value,
            value=sd / math.sqrt(runs),
            low=low,
            high=high,
        )


def triples_table(original: Original, manifests: dict[str, Manifest]) -> pd.DataFrame:
    """All sets of three counts that print as the mean and standard deviation of a value.

    The test set is the test split; the accuracy of a run is its count divided by the examples.

    Raises:
        UserError: the means are not of three runs.
    """
    rows = []
    for deviation in original.deviations:
        if deviation.dataset not in manifests:
            continue
        if original.runs != _TRIPLE:
            raise UserError(f"standard deviations are searched for 3 runs, not {original.runs}")
        mean = _mean_of(original, deviation)
        rows += _matching(deviation, mean, manifests[deviation.dataset])
    return pd.DataFrame(rows, columns=list(TRIPLES_TABLE.columns))


def triples(total: int, examples: int) -> np.ndarray:
    """All ascending triples of counts from 0 to `examples` with this sum, [n, 3]."""
    first, second = np.meshgrid(np.arange(examples + 1), np.arange(examples + 1), indexing="ij")
    counts = np.stack([first, second, total - first - second], axis=-1).reshape(-1, _TRIPLE)
    ascending = (counts[:, 0] <= counts[:, 1]) & (counts[:, 1] <= counts[:, 2])
    return counts[ascending & (counts[:, 2] <= examples)]


def count_triples(table: pd.DataFrame, original: Original) -> Iterator[Row]:
    """How many triples there are, by formula, and how many contain a constant prediction."""
    for place, of_place in table.groupby(["dataset", "lambda", "column", "n_test"], sort=False):
        dataset, lam, column, n_test = place
        deviation = next(
            d for d in original.deviations if (d.dataset, d.lam, d.column) == (dataset, lam, column)
        )
        for formula in ("sample", "population"):
            matching = of_place[of_place[f"prints_{formula}"] == 1]
            groups = {
                "": matching,
                ", with a constant prediction": matching[matching["constants"] > 0],
            }
            for tail, group in groups.items():
                yield row_of(
                    deviation,
                    "triples",
                    against=f"{formula} formula{tail}",
                    unit="triples",
                    n_test=n_test,
                    runs=_TRIPLE,
                    reported=NAN,
                    value=len(group),
                )


def _mean_of(original: Original, deviation: Reported) -> Printed:
    """The mean that belongs to a standard deviation.

    Raises:
        UserError: there is no such mean.
    """
    for value in original.of(deviation.dataset, deviation.column):
        if value.lam == deviation.lam:
            return value.printed
    raise UserError(
        f"the original has a standard deviation but no mean of {deviation.dataset}, "
        f"lambda {deviation.lam}, {deviation.column}"
    )


def _matching(deviation: Reported, mean: Printed, manifest: Manifest) -> Iterator[Row]:
    n_test, reported = examples_of(manifest), deviation.printed
    totals = np.arange(n_test * _TRIPLE + 1)
    for total in totals[grim.rounded(totals, np.full_like(totals, n_test * _TRIPLE), mean)]:
        for counts in triples(int(total), n_test):
            spread = [float(np.std(counts / n_test, ddof=ddof)) for ddof in (1, 0)]
            prints = [abs(sd - reported.value) <= reported.half for sd in spread]
            if any(prints):
                yield {
                    "dataset": deviation.dataset,
                    "lambda": deviation.lam,
                    "column": deviation.column,
                    "n_test": n_test,
                    **dict(zip(("first", "second", "third"), counts.tolist(), strict=True)),
                    "mean": counts.mean() / n_test,
                    "sample_sd": spread[0],
                    "population_sd": spread[1],
                    "prints_sample": int(prints[0]),
                    "prints_population": int(prints[1]),
                    "constants": int(np.isin(counts, list(names_by_count(manifest))).sum()),
                    "distance": min(
                        abs(sd - reported.value)
                        for sd, so in zip(spread, prints, strict=True)
                        if so
                    ),
                }


_TRIPLE = 3
