"""The original's numbers compared with chance, constant predictions, spread and time.

`CHECKS_TABLE` has one row per check, reported number and comparison. The checks are:

    test_size          size of the test set that the values point to, else of the test split
    sizes              how many products of a plausible test set and 1 to 5 runs fit all values
    smallest           smallest denominator that fits one value, or all of them
    count              whole number of right answers over all runs nearest to the number (GRIM)
    batch_means        GRIM for accuracies averaged over mini-batches with a short last one
    standard_error     binomial, for one run and for the mean of all runs
    difference         to lambda 0, in test examples and standard errors
    best_minus_final   best accuracy minus final accuracy at the same lambda
    chance             guessing one of the classes
    majority           always predicting the largest class of the test split
    constant           always predicting one class
    constants          one class per run, which may differ between runs
    random_split       always predicting the largest class, on random test sets of other sizes
    spread             reported standard deviation and the binomial standard error of one run
    interval           Student's interval of a mean with that standard deviation
    triples            sets of counts that print as this mean and standard deviation
    time_ratio         ratio of the reported seconds, and the reported ratio
    epoch, step        seconds per epoch and step, from the stated epochs and batch
    application        how many plain steps one application of the penalty takes

References:
    N. J. L. Brown, J. A. J. Heathers. The GRIM test. 2017. doi:10.1177/1948550616673876.
    J. A. Heathers, J. Anaya, T. van der Zee, N. J. L. Brown. Recovering data from summary
    statistics: Sample Parameter Reconstruction via Iterative TEchniques (SPRITE). 2018.
    doi:10.7287/peerj.preprints.26968v1.
    E. B. Wilson. Probable inference, the law of succession, and statistical inference. 1927.
    doi:10.1080/01621459.1927.10502953.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from flatreg.config import BASELINE
from flatreg.forensics import grim
from flatreg.forensics.deviations import count_triples, spreads
from flatreg.forensics.durations import times
from flatreg.forensics.predictions import constants, guesses, random_splits
from flatreg.forensics.reported import ACCURACIES, Original, Reported
from flatreg.forensics.rows import (
    NAN,
    Manifest,
    Row,
    examples_of,
    row,
    row_of,
    standard_error,
)
from flatreg.tables.reported import CHECKS_TABLE


def checks_table(
    original: Original,
    manifests: dict[str, Manifest],
    denominators: pd.DataFrame,
    triples: pd.DataFrame,
    alpha: float,
) -> pd.DataFrame:
    """All checks of all data sets.

    Args:
        original: the reported numbers.
        manifests: manifests by data set; data sets without one are left out.
        denominators: a GRIM_DENOMINATORS_TABLE.
        triples: a TRIPLES_TABLE.
        alpha: intervals cover 1 - alpha.
    """
    rows: list[Row] = []
    for dataset, manifest in manifests.items():
        values = original.accuracies(dataset)
        scan = denominators[denominators["dataset"] == dataset]
        implied = implied_size(scan, original.runs, manifest, alpha)
        sizes = list(dict.fromkeys([implied, examples_of(manifest)]))
        rows += [row("test_size", dataset, against="all values", unit="examples", value=implied)]
        rows += count_sizes(scan)
        rows += smallest(values, scan)
        rows += counts(values, sizes, original.runs)
        rows += batch_means(values, sizes, original)
        rows += standard_errors(values, sizes, original.runs, alpha)
        rows += differences(original, dataset, sizes, alpha)
        rows += best_minus_final(original, dataset, sizes)
        rows += guesses(values, sizes, original.runs, manifest, alpha)
        rows += constants(values, original.runs, manifest)
        rows += random_splits(values, manifest, alpha)
        rows += spreads(original, dataset, implied, alpha)
        rows += count_triples(triples[triples["dataset"] == dataset], original)
        rows += times(original, dataset, manifest)
    return pd.DataFrame(rows, columns=list(CHECKS_TABLE.columns))


def implied_size(scan: pd.DataFrame, runs: int, manifest: Manifest, alpha: float) -> int:
    """The size of the test set that the values point to.

    It is the smallest one whose product with `runs` fits all values, if random values would fit
    one so small with a probability below alpha. Otherwise the values do not tell, and it is the
    size of the test split.
    """
    fitting = scan[(scan["fitting"] == scan["values"]) & (scan["denominator"] % runs == 0)]
    if fitting.empty or fitting["chance_any"].iloc[0] >= alpha:
        return examples_of(manifest)
    return int(fitting["denominator"].iloc[0]) // runs


def count_sizes(scan: pd.DataFrame) -> Iterator[Row]:
    """How many products of plausible test sets and runs there are, and how many fit all values."""
    supposed = scan[scan["sizes"].notna()]
    fitting = supposed[supposed["fitting"] == supposed["values"]]
    for against, group in (("tried", supposed), ("fit all values", fitting)):
        yield row(
            "sizes",
            scan["dataset"].iloc[0],
            against=against,
            unit="examples x runs",
            value=len(group),
        )


def smallest(values: list[Reported], scan: pd.DataFrame) -> Iterator[Row]:
    """The smallest denominator that fits all values, and the smallest for each value."""
    fitting = scan[scan["fitting"] == scan["values"]]
    dataset = values[0].dataset
    if len(fitting):
        first = fitting.iloc[0]
        yield row(
            "smallest",
            dataset,
            against="all values",
            unit="examples x runs",
            value=first["denominator"],
            chance=first["chance_any"],
        )
    denominators = scan["denominator"].to_numpy(dtype=np.int64)
    for value in values:
        passing = denominators[grim.fits(value.printed, denominators, grim.rounded)]
        yield row_of(
            value,
            "smallest",
            against="this value",
            unit="examples x runs",
            reported=NAN,
            value=passing[0] if len(passing) else NAN,
        )


def counts(values: list[Reported], sizes: list[int], runs: int) -> Iterator[Row]:
    """The nearest whole number of right answers for each value, and whether it prints as it."""
    for value in values:
        for n_test in sizes:
            denominator = np.array([n_test * runs])
            exact = value.printed.value * n_test * runs
            nearest = int(grim.nearest_numerator(value.printed, denominator)[0])
            yield row_of(
                value,
                "count",
                against="nearest whole count",
                unit="examples x runs",
                n_test=n_test,
                runs=runs,
                reported=exact,
                value=nearest,
                difference=exact - nearest,
                images=exact - nearest,
                consistent=int(grim.fits(value.printed, denominator, grim.rounded)[0]),
                chance=grim.pass_share(denominator, value.printed.decimals)[0],
            )


def batch_means(values: list[Reported], sizes: list[int], original: Original) -> Iterator[Row]:
    """GRIM for accuracies that are means over mini-batches, all with the same weight.

    With a last batch of r < B examples, such a mean over b batches is a whole number divided by
    b lcm(B, r).
    """
    batch = original.training[values[0].dataset].batch
    for examples in sizes:
        batches, rest = math.ceil(examples / batch), examples % batch
        denominator = np.array([batches * math.lcm(batch, rest or batch) * original.runs])
        for value in values:
            yield row_of(
                value,
                "batch_means",
                against="mean over mini-batches",
                unit="examples x runs",
                n_test=examples,
                runs=original.runs,
                reported=NAN,
                value=denominator[0],
                consistent=int(grim.fits(value.printed, denominator, grim.rounded)[0]),
                chance=grim.pass_share(denominator, value.printed.decimals)[0],
            )


def standard_errors(
    values: list[Reported], sizes: list[int], runs: int, alpha: float
) -> Iterator[Row]:
    """The standard error of each value, and Wilson's interval around it.

    For the mean, the errors of the runs are treated as independent. If all runs use the same
    examples they are not; the truth is then between this and the standard error of one run.
    """
    for value in values:
        accuracy = value.printed.value
        for n_test in sizes:
            for count in dict.fromkeys((1, runs)):
                low, high = proportion_confint(
                    accuracy * n_test * count, n_test * count, alpha, method="wilson"
                )
                yield row_of(
                    value,
                    "standard_error",
                    against="binomial",
                    n_test=n_test,
                    runs=count,
                    value=standard_error(accuracy, n_test * count),
                    low=low,
                    high=high,
                )


def differences(original: Original, dataset: str, sizes: list[int], alpha: float) -> Iterator[Row]:
    """Each lambda minus lambda 0; the standard error treats all answers as independent."""
    reach = stats.norm.ppf(1 - alpha / 2)
    for column in ACCURACIES:
        base = original.baseline(dataset, column).value
        for value in original.of(dataset, column):
            if value.lam == BASELINE:
                continue
            for n_test in sizes:
                examples = n_test * original.runs
                change = value.printed.value - base
                error = math.hypot(
                    standard_error(value.printed.value, examples), standard_error(base, examples)
                )
                yield row_of(
                    value,
                    "difference",
                    against=f"lambda {BASELINE}",
                    n_test=n_test,
                    runs=original.runs,
                    value=base,
                    low=base - reach * error,
                    high=base + reach * error,
                    difference=change,
                    images=change * examples,
                    standard_errors=change / error,
                    consistent=int(abs(change) <= reach * error),
                )


def best_minus_final(original: Original, dataset: str, sizes: list[int]) -> Iterator[Row]:
    """How much the best accuracy over the epochs exceeds the last one."""
    final_column, best_column = ACCURACIES
    final = {value.lam: value.printed.value for value in original.of(dataset, final_column)}
    for value in original.of(dataset, best_column):
        change = value.printed.value - final[value.lam]
        for n_test in sizes:
            yield row_of(
                value,
                "best_minus_final",
                against=final_column,
                n_test=n_test,
                runs=original.runs,
                value=final[value.lam],
                difference=change,
                images=change * n_test * original.runs,
            )
