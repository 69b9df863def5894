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
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from flatreg.config import BASELINE
from flatreg.errors import UserError
from flatreg.forensics import grim
from flatreg.forensics.reported import ACCURACIES, SECONDS, Original, Printed, Reported
from flatreg.tables.evidence import CHECKS_TABLE, TRIPLES_TABLE

NAN = float("nan")
Row = dict[str, Any]
Manifest = dict[str, Any]

_TRIPLE = 3
# Usual shares of random test sets, for data sets without a standard split.
_RANDOM_SHARES = tuple(Fraction(share) for share in ("1/10", "3/20", "1/5", "1/4", "3/10"))


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
        sizes = list(dict.fromkeys([implied, _examples(manifest)]))
        rows += [_row("test_size", dataset, against="all values", unit="examples", value=implied)]
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
        return _examples(manifest)
    return int(fitting["denominator"].iloc[0]) // runs


def count_sizes(scan: pd.DataFrame) -> Iterator[Row]:
    """How many products of plausible test sets and runs there are, and how many fit all values."""
    supposed = scan[scan["sizes"].notna()]
    fitting = supposed[supposed["fitting"] == supposed["values"]]
    for against, found in (("tried", supposed), ("fit all values", fitting)):
        yield _row(
            "sizes",
            scan["dataset"].iloc[0],
            against=against,
            unit="examples x runs",
            value=len(found),
        )


def smallest(values: list[Reported], scan: pd.DataFrame) -> Iterator[Row]:
    """The smallest denominator that fits all values, and the smallest for each value."""
    fitting = scan[scan["fitting"] == scan["values"]]
    dataset = values[0].dataset
    if len(fitting):
        first = fitting.iloc[0]
        yield _row(
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
        yield _row_of(
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
            yield _row_of(
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
            yield _row_of(
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


def standard_error(accuracy: float, examples: int) -> float:
    """Binomial standard error of an accuracy on this many examples."""
    return math.sqrt(accuracy * (1 - accuracy) / examples)


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
                yield _row_of(
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
                yield _row_of(
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
            yield _row_of(
                value,
                "best_minus_final",
                against=final_column,
                n_test=n_test,
                runs=original.runs,
                value=final[value.lam],
                difference=change,
                images=change * n_test * original.runs,
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
                yield _beside(
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
    n_test = _examples(manifest)
    classes = _names_by_count(manifest)
    largest = max(classes)
    sums = sorted({sum(chosen) for chosen in combinations_with_replacement(classes, runs)})
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
            yield _beside(
                value,
                "random_split",
                against=f"always {name}, a random {share}",
                n_test=n_test,
                runs=1,
                value=largest / everything,
                low=low / n_test,
                high=high / n_test,
            )


def spreads(original: Original, dataset: str, n_test: int, alpha: float) -> Iterator[Row]:
    """Reported standard deviations, beside the binomial ones, and the interval of the mean.

    `chance` is the probability of at least this deviation if all runs are equally good (chi
    squared).
    """
    runs = original.runs
    for deviation in original.deviations:
        if deviation.dataset != dataset:
            continue
        said, mean = deviation.printed.value, _mean_of(original, deviation)
        error = standard_error(mean.value, n_test)
        yield _row_of(
            deviation,
            "spread",
            against="binomial",
            n_test=n_test,
            runs=1,
            value=error,
            difference=said - error,
            chance=stats.chi2.sf((runs - 1) * (said / error) ** 2, runs - 1),
        )
        low, high = stats.t.interval(1 - alpha, runs - 1, mean.value, said / math.sqrt(runs))
        yield _row_of(
            deviation,
            "interval",
            against="standard error from the reported deviation",
            n_test=n_test,
            runs=runs,
            reported=mean.value,
            value=said / math.sqrt(runs),
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


def count_triples(found: pd.DataFrame, original: Original) -> Iterator[Row]:
    """How many triples there are, by formula, and how many contain a constant prediction."""
    for place, some in found.groupby(["dataset", "lambda", "column", "n_test"], sort=False):
        dataset, lam, column, n_test = place
        deviation = next(
            d for d in original.deviations if (d.dataset, d.lam, d.column) == (dataset, lam, column)
        )
        for formula in ("sample", "population"):
            matching = some[some[f"prints_{formula}"] == 1]
            groups = {
                "": matching,
                ", with a constant prediction": matching[matching["constants"] > 0],
            }
            for tail, group in groups.items():
                yield _row_of(
                    deviation,
                    "triples",
                    against=f"{formula} formula{tail}",
                    unit="triples",
                    n_test=n_test,
                    runs=_TRIPLE,
                    reported=NAN,
                    value=len(group),
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
        yield _row_of(
            value,
            "application",
            against=f"in each {interval}th step",
            unit="plain steps",
            reported=NAN,
            value=interval * (ratio - 1),
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


def _ratio(original: Original, value: Reported, base: Printed) -> Row:
    """One lambda's seconds relative to lambda 0, with the bounds that rounding allows."""
    time = value.printed
    low = (time.value - time.half) / (base.value + base.half)
    high = (time.value + time.half) / (base.value - base.half)
    return _held_against_ratio(original, value, "lambda 0", time.value / base.value, low, high)


def _mean_ratio(original: Original, penalized: list[Reported], base: Printed) -> Row:
    mean = float(np.mean([value.printed.value for value in penalized])) / base.value
    everyone = penalized[0]._replace(lam="all")
    return _held_against_ratio(original, everyone, "mean over lambdas", mean, mean, mean)


def _held_against_ratio(
    original: Original, value: Reported, against: str, ratio: float, low: float, high: float
) -> Row:
    said = original.time_ratios.get(value.dataset)
    found = {"value": ratio, "low": low, "high": high}
    if said is None:
        return _row_of(value, "time_ratio", against=against, unit="times", reported=NAN, **found)
    return _row_of(
        value,
        "time_ratio",
        against=against,
        unit="times",
        reported=said.value,
        difference=said.value - ratio,
        consistent=int(low <= said.value + said.half and said.value - said.half <= high),
        **found,
    )


def _durations(original: Original, value: Reported, manifest: Manifest) -> Iterator[Row]:
    """Seconds per epoch and per step, if the whole training split was used."""
    training = original.training[value.dataset]
    steps = math.ceil(_examples(manifest, "train") / training.batch)
    low = value.printed.value / training.most_epochs
    high = value.printed.value / training.least_epochs if training.least_epochs else NAN
    for check, parts in (("epoch", 1), ("step", steps)):
        yield _row_of(
            value,
            check,
            against="epochs and batch as stated",
            unit="s",
            value=low / parts if low == high else NAN,
            low=low / parts,
            high=high / parts,
        )


def _matching(deviation: Reported, mean: Printed, manifest: Manifest) -> Iterator[Row]:
    n_test, said = _examples(manifest), deviation.printed
    totals = np.arange(n_test * _TRIPLE + 1)
    for total in totals[grim.rounded(totals, np.full_like(totals, n_test * _TRIPLE), mean)]:
        for counts in triples(int(total), n_test):
            spread = [float(np.std(counts / n_test, ddof=ddof)) for ddof in (1, 0)]
            prints = [abs(sd - said.value) <= said.half for sd in spread]
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
                    "constants": int(np.isin(counts, list(_names_by_count(manifest))).sum()),
                    "distance": min(
                        abs(sd - said.value) for sd, so in zip(spread, prints, strict=True) if so
                    ),
                }


def _constant(
    value: Reported, check: str, numerator: int, n_test: int, runs: int, names: str
) -> Row:
    """Compare a reported number with numerator / (n_test runs)."""
    examples = n_test * runs
    prints = grim.rounded(np.array([numerator]), np.array([examples]), value.printed)
    difference = value.printed.value - numerator / examples
    return _row_of(
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


def _beside(value: Reported, check: str, /, **found: Any) -> Row:
    """Compare a reported number with an interval, widened by the number's rounding."""
    number = value.printed
    difference = number.value - found["value"]
    examples = found["n_test"] * found["runs"]
    return _row_of(
        value,
        check,
        difference=difference,
        images=difference * examples,
        standard_errors=difference / standard_error(found["value"], examples),
        consistent=int(found["low"] - number.half <= number.value <= found["high"] + number.half),
        **found,
    )


def _row_of(value: Reported, check: str, /, **found: Any) -> Row:
    place = {"lambda": value.lam, "column": value.column}
    return _row(check, value.dataset, **place, **({"reported": value.printed.value} | found))


def _row(check: str, dataset: str, /, **found: Any) -> Row:
    """A row of CHECKS_TABLE; columns that are not given are missing."""
    start = {"check": check, "dataset": dataset, "lambda": "all", "column": "all"}
    return dict.fromkeys(CHECKS_TABLE.columns, NAN) | start | {"unit": "accuracy"} | found


def _examples(manifest: Manifest, split: str = "test") -> int:
    return manifest["splits"][split]["examples"]


def _names_by_count(manifest: Manifest) -> dict[int, str]:
    """The counts that constant predictions get right on the test split, with their classes."""
    names: dict[int, list[str]] = {}
    for name, count in manifest["splits"]["test"]["class_counts"].items():
        names.setdefault(count, []).append(name)
    return {
        count: f"always {' or '.join(found)}" if len(found) <= 3 else f"any of {len(found)} classes"
        for count, found in sorted(names.items())
    }


def _total_counts(manifest: Manifest) -> dict[str, int]:
    train, test = (manifest["splits"][name]["class_counts"] for name in ("train", "test"))
    return {name: train[name] + test[name] for name in train}
