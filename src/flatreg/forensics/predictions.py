"""Reported accuracies compared with predictions without learning: guesses and constants."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
from scipy import stats

from flatreg.forensics import grim
from flatreg.forensics.reported import Reported
from flatreg.forensics.rows import (
    Manifest,
    Row,
    examples_of,
    row_beside,
    row_of,
    standard_error,
)


def guesses(
    values: list[Reported], sizes: list[int], runs: int, manifest: Manifest, alpha: float
) -> Iterator[Row]:
    """Random guessing: 1 / classes, and the binomial interval around it."""
    share = 1 / manifest["classes"]
    for value in values:
        for n_test in sizes:
            for count in dict.fromkeys((1, runs)):
                examples = n_test * count
                low, high = stats.binom.interval(1 - alpha, examples, share)
                yield row_beside(
                    value,
                    "chance",
                    against=f"1 of {manifest['classes']} classes",
                    n_test=n_test,
                    runs=count,
                    value=share,
                    low=low / examples,
                    high=high / examples,
                )


def constants(values: list[Reported], runs: int, manifest: Manifest) -> Iterator[Row]:
    """Constant predictions: the same class in all runs, or one class per run."""
    n_test = examples_of(manifest)
    classes = names_by_count(manifest)
    largest = max(classes)
    sums = sorted(
        {sum(combination) for combination in combinations_with_replacement(classes, runs)}
    )
    for value in values:
        yield _constant(value, "majority", largest, n_test, 1, classes[largest])
        for count, names in classes.items():
            yield _constant(value, "constant", count, n_test, 1, names)
        target = value.printed.value * n_test * runs
        near = min(sums, key=lambda total, target=target: abs(total - target))
        yield _constant(value, "constants", near, n_test, runs, "the nearest such mean")


def random_splits(values: list[Reported], manifest: Manifest, alpha: float) -> Iterator[Row]:
    """Always predicting the largest class, on random test sets: hypergeometric intervals."""
    totals = _total_counts(manifest)
    name, largest = max(totals.items(), key=lambda item: item[1])
    everything = sum(totals.values())
    for value in values:
        for share in _RANDOM_SHARES:
            n_test = math.ceil(share * everything)
            low, high = stats.hypergeom.interval(1 - alpha, everything, largest, n_test)
            yield row_beside(
                value,
                "random_split",
                against=f"always {name}, a random {share}",
                n_test=n_test,
                runs=1,
                value=largest / everything,
                low=low / n_test,
                high=high / n_test,
            )


# Usual shares of random test sets, for data sets without a standard split.
_RANDOM_SHARES = tuple(Fraction(share) for share in ("1/10", "3/20", "1/5", "1/4", "3/10"))


def _constant(
    value: Reported, check: str, numerator: int, n_test: int, runs: int, names: str
) -> Row:
    """Compare a reported number with numerator / (n_test runs)."""
    examples = n_test * runs
    prints = grim.rounded(np.array([numerator]), np.array([examples]), value.printed)
    difference = value.printed.value - numerator / examples
    return row_of(
        value,
        check,
        against=names,
        n_test=n_test,
        runs=runs,
        value=numerator / examples,
        difference=difference,
        images=difference * examples,
        standard_errors=difference / standard_error(numerator / examples, examples),
        consistent=int(prints[0]),
    )


def names_by_count(manifest: Manifest) -> dict[int, str]:
    """The counts that constant predictions get right on the test split, with their classes."""
    names: dict[int, list[str]] = {}
    for name, count in manifest["splits"]["test"]["class_counts"].items():
        names.setdefault(count, []).append(name)
    return {
        count: f"always {' or '.join(classes)}"
        if len(classes) <= 3
        else f"any of {len(classes)} classes"
        for count, classes in sorted(names.items())
    }


def _total_counts(manifest: Manifest) -> dict[str, int]:
    train, test = (manifest["splits"][name]["class_counts"] for name in ("train", "test"))
    return {name: train[name] + test[name] for name in train}
