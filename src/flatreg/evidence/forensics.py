"""What the original's numbers can come from: `python -m flatreg.evidence.forensics --help`.

Only what was printed is used, and the sizes of the data sets. A number that fits a test set may
still come from another; beside each fit stands how often a random number would fit.
"""

from __future__ import annotations

import argparse
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flatreg import tables
from flatreg.errors import UserError, run_command
from flatreg.evidence import checks, grim, reported
from flatreg.evidence.reported import Original, Reported
from flatreg.evidence.tables import (
    CHECKS_TABLE,
    GRIM_DENOMINATORS_TABLE,
    GRIM_TABLE,
    TRIPLES_TABLE,
)
from flatreg.files import read_json

RUNS = (1, 2, 3, 4, 5)
# Test sets that people take: whole shares of all examples or of the training split, and round
# numbers of examples.
SHARES = tuple(Fraction(share) for share in ("1/10", "3/20", "1/5", "1/4", "3/10", "1/3"))
ROUND_SIZES = (50, 100, 150, 200, 250, 300, 400, 500, 600, 750, 1000, 1500, 2000)
LARGEST_DENOMINATOR = 10_000


def main() -> None:
    """Write the four tables."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.evidence.forensics")
    parser.add_argument("--config", type=Path, required=True, help="resolved config, for alpha")
    parser.add_argument("--original", type=Path, required=True, help="the reported numbers")
    parser.add_argument("--manifests", type=Path, required=True, nargs="+", help="data/*.json")
    parser.add_argument("--out-grim", type=Path, required=True, help="values x test sets")
    parser.add_argument("--out-denominators", type=Path, required=True, help="all denominators")
    parser.add_argument("--out-checks", type=Path, required=True, help="all other checks")
    parser.add_argument("--out-triples", type=Path, required=True, help="three counts of one sd")
    arguments = parser.parse_args()
    alpha = read_json(arguments.config)["analysis"]["alpha"]
    original = reported.read(arguments.original)
    manifests = known_manifests(original, [read_json(path) for path in arguments.manifests])
    values = pd.concat(
        [grim_table(original.accuracies(name), found) for name, found in manifests.items()]
    )
    denominators = pd.concat(
        [denominators_table(original.accuracies(name), found) for name, found in manifests.items()]
    )
    triples = checks.triples_table(original, manifests)
    tables.write(arguments.out_grim, values, GRIM_TABLE)
    tables.write(arguments.out_denominators, denominators, GRIM_DENOMINATORS_TABLE)
    tables.write(
        arguments.out_checks,
        checks.checks_table(original, manifests, denominators, triples, alpha),
        CHECKS_TABLE,
    )
    tables.write(arguments.out_triples, triples, TRIPLES_TABLE)


def known_manifests(
    original: Original, manifests: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The manifests of the data sets that the original reports on, in its order.

    A study may leave a data set out; then nothing is said of it.

    Raises:
        UserError: there is none.
    """
    by_source = {manifest["source"]: manifest for manifest in manifests}
    names = dict.fromkeys(value.dataset for value in original.values)
    found = {name: by_source[name] for name in names if name in by_source}
    if not found:
        raise UserError(f"--manifests has none of {', '.join(names)}; name one of them")
    return found


def test_sizes(manifest: dict[str, Any]) -> dict[int, str]:
    """Plausible sizes of a test set, each with what it would be, by size.

    The test split of the manifest; `SHARES` of all examples and of the training split, rounded
    down and up, as libraries differ; all examples; `ROUND_SIZES`.
    """
    train, test = (manifest["splits"][name]["examples"] for name in ("train", "test"))
    found: dict[int, list[str]] = {test: ["test split"]}
    for size, whole in ((train + test, "all examples"), (train, "the training split")):
        for share in SHARES:
            for examples in {math.floor(share * size), math.ceil(share * size)}:
                found.setdefault(examples, []).append(f"{share} of {whole}")
        found.setdefault(size, []).append(whole)
    for size in ROUND_SIZES:
        if size <= train + test:
            found.setdefault(size, []).append("round number")
    return {size: "; ".join(found[size]) for size in sorted(found) if size}


def grim_table(values: list[Reported], manifest: dict[str, Any]) -> pd.DataFrame:
    """The GRIM test of each value for each plausible test set and number of runs."""
    sizes = test_sizes(manifest)
    pairs = np.array([(size, runs) for size in sizes for runs in RUNS])
    denominators = pairs.prod(axis=1)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "dataset": value.dataset,
                    "lambda": value.lam,
                    "column": value.column,
                    "printed": str(value.printed),
                    "n_test": pairs[:, 0],
                    "runs": pairs[:, 1],
                    "split": [sizes[size] for size in pairs[:, 0]],
                    "denominator": denominators,
                    "numerator": grim.nearest_numerator(value.printed, denominators),
                    "fits": grim.fits(value.printed, denominators, grim.rounded).astype(int),
                    "half_up": grim.fits(value.printed, denominators, grim.half_up).astype(int),
                    "half_even": grim.fits(value.printed, denominators, grim.half_even).astype(int),
                    "truncated": grim.fits(value.printed, denominators, grim.truncated).astype(int),
                    "chance": grim.pass_share(denominators, value.printed.decimals),
                }
            )
            for value in values
        ],
        ignore_index=True,
    )


def denominators_table(values: list[Reported], manifest: dict[str, Any]) -> pd.DataFrame:
    """How many values each denominator fits: all up to `LARGEST_DENOMINATOR`, and larger products.

    `chance` takes the different numbers as random and independent. `chance_any` adds it over all
    smaller denominators, at the same number of fits: having looked at all of them, one is more
    likely to find a fit.
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


if __name__ == "__main__":
    run_command(main)
