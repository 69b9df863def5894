"""Which test sets and numbers of runs the reported accuracies can come from."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from flatreg.forensics import grim
from flatreg.forensics.reported import Reported
from flatreg.tables.reported import GRIM_TABLE

RUNS = (1, 2, 3, 4, 5)
# Usual test sets: simple shares of all examples or of the training split, and round numbers.
SHARES = tuple(Fraction(share) for share in ("1/10", "3/20", "1/5", "1/4", "3/10", "1/3"))
ROUND_SIZES = (50, 100, 150, 200, 250, 300, 400, 500, 600, 750, 1000, 1500, 2000)
LARGEST_DENOMINATOR = 10_000


def test_sizes(manifest: dict[str, Any]) -> dict[int, str]:
    """Plausible sizes of a test set, each with a description, by size.

    They are the test split of the manifest; `SHARES` of all examples and of the training split,
    rounded down and up because libraries differ; all examples; the training split; and
    `ROUND_SIZES`.
    """
    train, test = (manifest["splits"][name]["examples"] for name in ("train", "test"))
    descriptions: dict[int, list[str]] = {test: ["test split"]}
    for size, whole in ((train + test, "all examples"), (train, "the training split")):
        for share in SHARES:
            for examples in {math.floor(share * size), math.ceil(share * size)}:
                descriptions.setdefault(examples, []).append(f"{share} of {whole}")
        descriptions.setdefault(size, []).append(whole)
    for size in ROUND_SIZES:
        if size <= train + test:
            descriptions.setdefault(size, []).append("round number")
    return {size: "; ".join(descriptions[size]) for size in sorted(descriptions) if size}


def grim_table(
    values: list[Reported], manifest: dict[str, Any], scan: pd.DataFrame
) -> pd.DataFrame:
    """The GRIM test of all values of a data set, for each plausible test set and number of runs.

    Args:
        values: reported accuracies of the data set.
        manifest: the data set's manifest.
        scan: result of `denominators_table` for the same values.
    """
    sizes = test_sizes(manifest)
    pairs = pd.DataFrame(
        [(size, runs, split) for size, split in sizes.items() for runs in RUNS],
        columns=["n_test", "runs", "split"],
    )
    denominators = (pairs["n_test"] * pairs["runs"]).to_numpy(np.int64)
    rules = {"half_up": grim.half_up, "half_even": grim.half_even, "truncated": grim.truncated}
    counts = {
        name: sum(grim.fits(value.printed, denominators, rule).astype(int) for value in values)
        for name, rule in rules.items()
    }
    distinct = dict.fromkeys(value.printed for value in values)
    shares = [grim.pass_share(denominators, number.decimals) for number in distinct]
    frame = pairs.assign(denominator=denominators, share=np.mean(shares, axis=0), **counts)
    frame = frame.merge(scan.drop(columns="sizes"), on="denominator", how="left", validate="m:1")
    frame["all_fit"] = (frame["fitting"] == frame["values"]).astype(int)
    return frame[list(GRIM_TABLE.columns)]


def denominators_table(values: list[Reported], manifest: dict[str, Any]) -> pd.DataFrame:
    """How many values fit each denominator up to `LARGEST_DENOMINATOR`, and each larger product.

    `chance` treats the distinct numbers as random and independent. `chance_any` sums it over this
    and all smaller denominators, at the same number of fits, because a search over all of them is
    more likely to find a fit.
    """
    sizes: dict[int, list[str]] = {}
    for size in test_sizes(manifest):
        for runs in RUNS:
            sizes.setdefault(size * runs, []).append(f"{size} x {runs}")
    denominators = np.union1d(np.arange(1, LARGEST_DENOMINATOR + 1), list(sizes))
    distinct = list(dict.fromkeys(value.printed for value in values))
    fitting = np.array([grim.fits(number, denominators, grim.rounded) for number in distinct])
    shares = {d: grim.pass_share(denominators, d) for d in {n.decimals for n in distinct}}
    tails = grim.chance_of_fits([shares[number.decimals] for number in distinct])
    hits, places = fitting.sum(axis=0), np.arange(len(denominators))
    repeats = np.array([[v.printed for v in values].count(number) for number in distinct])
    return pd.DataFrame(
        {
            "dataset": values[0].dataset,
            "denominator": denominators,
            "sizes": ["; ".join(sizes.get(int(size), [])) or None for size in denominators],
            "values": len(values),
            "fitting": repeats @ fitting,
            "misfits": [
                " ".join(str(n) for n, fit in zip(distinct, column, strict=True) if not fit) or None
                for column in fitting.T
            ],
            "distinct": len(distinct),
            "distinct_fitting": hits,
            "chance": tails[hits, places],
            "chance_any": np.minimum(np.cumsum(tails, axis=1)[hits, places], 1),
        }
    )
