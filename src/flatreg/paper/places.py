"""Look up the content and provenance of a place in the results: one function per kind of place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import pandera.pandas as pa

from flatreg import tables
from flatreg.config import BASELINE
from flatreg.errors import UserError
from flatreg.paper.provenance import Fact
from flatreg.paper.sources import Sources, lookup
from flatreg.tables.evidence import (
    CALIBRATION_TABLE,
    CLAIMS_TABLE,
    CORRELATIONS_TABLE,
    EQUAL_LOSS_TABLE,
    FALSE_OUTCOMES_TABLE,
    OVERALL_TABLE,
    REPARAMETRIZATION_TABLE,
    SAMPLE_SIZE_FITS_TABLE,
    TEST_SETS_TABLE,
    VARIANCE_TABLE,
    VERDICTS,
)
from flatreg.tables.reported import CHECKS_TABLE, GRIM_TABLE

Lookup = Callable[..., Fact]


class Place(NamedTuple):
    """A kind of place.

    Attributes:
        pattern: the form of its name, variable parts in capitals.
        look_up: `look_up(cited, *parts) -> Fact`, with the parts after the kind.
        written: default format of its numbers, for Python's `format`.
    """

    pattern: str
    look_up: Callable[..., Fact]
    written: str


# Where an interval can lie beside a number; unknown: there is no interval.
DIRECTIONS = [ABOVE, BELOW, AROUND, UNKNOWN] = ["above", "below", "around", "unknown"]
# Every kind of place by the first word of its pattern.
KINDS: dict[str, Place] = {}


def place(pattern: str, *, written: str = "") -> Callable[[Lookup], Lookup]:
    """Register the function that looks up a kind of place."""

    def register(look_up: Lookup) -> Lookup:
        KINDS[pattern.partition("/")[0]] = Place(pattern, look_up, written)
        return look_up

    return register


def described() -> str:
    """One line per kind of place: its pattern and its content."""
    width = max(len(kind.pattern) for kind in KINDS.values())
    return "\n".join(
        f"    {kind.pattern:<{width}}  {str(kind.look_up.__doc__).splitlines()[0]}"
        for kind in KINDS.values()
    )


def look_up(name: str, cited: Sources) -> Fact:
    """Look up the content of a place.

    Raises:
        UserError: the kind of place is unknown, or the place is empty.
        KeyError, IndexError, TypeError, ValueError: a part of the place is wrong.
    """
    kind, *parts = name.split("/")
    if kind not in KINDS:
        raise UserError(f"{kind!r} is not a kind of place")
    return KINDS[kind].look_up(cited, *parts)


def words(name: str) -> list[str]:
    """The words that a place can hold, for text that depends on it.

    Raises:
        UserError: the place does not hold one of a few words.
    """
    kind, *parts = name.split("/")
    if kind == "direction":
        return DIRECTIONS
    if kind == "claim" and parts[-1] == "verdict":
        return VERDICTS
    raise UserError(f"{name}: text can depend on the verdict of a claim or on a direction")


@place("direction/NEUTRAL/LOW/HIGH/PLACE")
def of_direction(cited: Sources, neutral: str, low: str, high: str, *path: str) -> Fact:
    """Where the interval from column LOW to HIGH of a place lies: above NEUTRAL, below, around."""
    ends = [look_up("/".join([*path, column]), cited) for column in (low, high)]
    bottom, top = (float(end.value) for end in ends)
    if math.isnan(bottom) or math.isnan(top):
        word = UNKNOWN
    else:
        word = ABOVE if bottom > float(neutral) else BELOW if top < float(neutral) else AROUND
    return ends[0]._replace(
        value=word, statistic=f"where the interval lies beside {neutral}: {ends[0].statistic}"
    )


@place("config/KEY/...")
def of_config(cited: Sources, *path: str) -> Fact:
    """A field of the config."""
    return _field(cited, "config", cited.config, path, "as the config says")


@place("data/SOURCE/KEY/...", written=",")
def of_data(cited: Sources, source: str, *path: str) -> Fact:
    """A field of a data set's manifest."""
    manifest = cited.manifests[source]
    return _field(cited, source, manifest, path, "as counted in the prepared data set")


@place("bench/KEY/...", written=".1f")
def of_bench(cited: Sources, *path: str) -> Fact:
    """A field of the results of `make bench`."""
    return _field(cited, "bench", cited.bench, path, "as `make bench` measured it")


@place("frontier/KEY/...", written=".2g")
def of_frontier(cited: Sources, *path: str) -> Fact:
    """A field of the results of `make frontier`."""
    return _field(cited, "frontier", cited.frontier, path, "as `make frontier` measured it")


@place("original/DATASET/LAMBDA/COLUMN")
def of_original(cited: Sources, dataset: str, lam: str, column: str) -> Fact:
    """A number of the original."""
    statistic = f"{column} as the original paper reports it"
    return Fact(cited.original[dataset][lam][column], statistic, [], _files(cited, "original"))


@place("original_ratio/DATASET/LAMBDA")
def of_original_ratio(cited: Sources, dataset: str, lam: str) -> Fact:
    """The original's training time relative to its training time at lambda 0."""
    seconds = [cited.original[dataset][name]["seconds"] for name in (lam, BASELINE)]
    statistic = f"the original paper's seconds at lambda {lam} over those at lambda {BASELINE}"
    return Fact(seconds[0] / seconds[1], statistic, [], _files(cited, "original"))


@place("lambda/PROTOCOL/DATASET/LAMBDA")
def of_lambda(cited: Sources, protocol: str, dataset: str, lam: str) -> Fact:
    """A lambda of a data set.

    Raises:
        UserError: the data set has no such lambda in the config.
    """
    known = cited.config["protocols"][protocol]["datasets"][dataset]["lambdas"]
    if lam not in known:
        raise UserError(f"{dataset} of {protocol} has no lambda {lam}; it has {', '.join(known)}")
    return Fact(lam, "strength of the penalty, as the config says", [], _files(cited, "config"))


@place("summary/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN")
def of_summary(
    cited: Sources, protocol: str, dataset: str, lam: str, metric: str, column: str
) -> Fact:
    """A statistic over the runs of a cell; `diverged` comes from the diverged runs."""
    value = lookup(cited.summary, (protocol, dataset, lam, metric))[column]
    cell = _select(cited.metrics, protocol=protocol, dataset=dataset, **{"lambda": lam})
    if column == "diverged":
        runs = cell[cell["status"] == tables.DIVERGED]
    else:
        runs = _with_value(cell, metric)
    statistic = f"{metric} over {len(runs)} runs: {_described(tables.SUMMARY_TABLE, column)}"
    return Fact(value, statistic, _keys(runs), _files(cited, "summary", "metrics"))


def of_key(cited: Sources, protocol: str, dataset: str, lam: str) -> Fact:
    """The key of a cell's first run."""
    cell = _select(cited.metrics, protocol=protocol, dataset=dataset, **{"lambda": lam})
    key = cell["key"].iloc[0]
    return Fact(key, "key of the cell's first run", [key], _files(cited, "metrics"))


@place("test/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN")
def of_tests(
    cited: Sources, protocol: str, dataset: str, lam: str, metric: str, column: str
) -> Fact:
    """A statistic of a cell against lambda 0; an adjusted p comes from all lambdas."""
    value = lookup(cited.tests, (protocol, dataset, lam, metric))[column]
    runs = _with_value(_select(cited.metrics, protocol=protocol, dataset=dataset), metric)
    if not column.endswith("_holm"):
        runs = runs[runs["lambda"].isin([lam, BASELINE])]
    statistic = (
        f"{metric} at lambda {lam} against lambda 0: {_described(tables.TESTS_TABLE, column)}"
    )
    return Fact(value, statistic, _keys(runs), _files(cited, "tests", "metrics"))


@place("count/[PROTOCOL/[DATASET/]]WHAT", written=",")
def of_count(cited: Sources, *path: str) -> Fact:
    """The number of runs, or diverged runs, of the study or of one protocol (and data set)."""
    *scope, what = path
    runs = _select(cited.metrics, **dict(zip(("protocol", "dataset"), scope, strict=False)))
    if what == "diverged":
        runs = runs[runs["status"] == tables.DIVERGED]
    elif what != "runs":
        raise UserError(f"{what!r} cannot be counted")
    statistic = " ".join(["number of", *(["diverged"] if what == "diverged" else []), "runs"])
    return Fact(len(runs), statistic, _keys(runs), _files(cited, "metrics"))


@place("detectable/PROTOCOL/DATASET", written=".1f")
def of_detectable(cited: Sources, protocol: str, dataset: str) -> Fact:
    """The smallest effect on test accuracy that the seeds of all lambdas can detect."""
    family = _family(cited, protocol, dataset, "test_accuracy")
    runs = _with_value(_select(cited.metrics, protocol=protocol, dataset=dataset), "test_accuracy")
    statistic = f"largest over the lambdas: {_described(tables.TESTS_TABLE, 'detectable')}"
    files = _files(cited, "tests", "metrics")
    return Fact(float(family["detectable"].max()), statistic, _keys(runs), files)


@place("hours/WHAT", written=".1f")
def of_hours(cited: Sources, what: str) -> Fact:
    """The time of all runs by a column of times.csv without its `_seconds`, such as train."""
    seconds = cited.times[f"{what}_seconds"].sum()
    statistic = f"hours of all runs: {_described(tables.TIMES_TABLE, f'{what}_seconds')}"
    return Fact(seconds / 3600, statistic, _keys(cited.metrics), _files(cited, "times"))


@place("verdict/PROTOCOL/DATASET/METRIC")
def of_verdict(cited: Sources, protocol: str, dataset: str, metric: str) -> Fact:
    """Difference, adjusted p and sample sizes, for each lambda above 0."""
    family = _family(cited, protocol, dataset, metric)
    columns = ["difference", "welch_p_holm", "n", "n_baseline"]
    runs = _with_value(_select(cited.metrics, protocol=protocol, dataset=dataset), metric)
    statistic = f"{metric}, every lambda against lambda 0: Welch's p, adjusted (Holm)"
    value = {lam: row.to_dict() for lam, row in family[columns].iterrows()}
    return Fact(value, statistic, _keys(runs), _files(cited, "tests", "metrics"))


@place("claim/CLAIM/PROTOCOL/COLUMN")
def of_claim(cited: Sources, claim: str, protocol: str, column: str) -> Fact:
    """A result for a claim of the original."""
    value = _row(cited, "claims", claim=claim, protocol=protocol)[column]
    statistic = f"claim {claim} under {protocol}: {_described(CLAIMS_TABLE, column)}"
    behind = cited.evidence.get("claim_runs")
    if behind is None:
        return Fact(value, statistic, [], _files(cited, "claims"))
    runs = _select(behind, claim=claim, protocol=protocol)
    return Fact(value, statistic, _keys(runs), _files(cited, "claims", "claim_runs"))


@place("claims/WHAT")
def of_claims(cited: Sources, what: str) -> Fact:
    """The number of claims: all, with a verdict (decided), or with one of the verdicts.

    The first protocol of a claim decides.
    """
    deciding = _table(cited, "claims").drop_duplicates("claim")
    verdicts = {verdict: [verdict] for verdict in VERDICTS}
    verdicts |= {"all": VERDICTS, "decided": [v for v in VERDICTS if v != "undetermined"]}
    if what not in verdicts:
        raise UserError(f"{what!r} is not a verdict; known are {', '.join(verdicts)}")
    rows = deciding[deciding["verdict"].isin(verdicts[what])]
    runs = _table(cited, "claim_runs").merge(rows[["claim", "protocol"]])
    statistic = f"number of claims by verdict of their first protocol: {what}"
    return Fact(
        len(rows), statistic, sorted(set(_keys(runs))), _files(cited, "claims", "claim_runs")
    )


@place("grim/DATASET/N_TEST/RUNS/COLUMN")
def of_grim(cited: Sources, dataset: str, n_test: str, runs: str, column: str) -> Fact:
    """The GRIM test of the original's accuracies for a supposed test set and number of runs."""
    where = {"dataset": dataset, "n_test": int(n_test), "runs": int(runs)}
    value = _row(cited, "grim", **where)[column]
    statistic = f"accuracies of {dataset}, {n_test} examples x {runs} runs: " + _described(
        GRIM_TABLE, column
    )
    return Fact(value, statistic, [], _files(cited, "grim", "original"))


@place("check/CHECK/DATASET/LAMBDA/REPORTED/AGAINST/N_TEST/RUNS/COLUMN")
def of_check(
    cited: Sources,
    check: str,
    dataset: str,
    lam: str,
    reported: str,
    against: str,
    n_test: str,
    runs: str,
    column: str,
) -> Fact:
    """A check of a number of the original; `-` for a check without test set or runs."""
    where: dict[str, Any] = {"check": check, "dataset": dataset, "lambda": lam, "column": reported}
    where |= {"against": against}
    where |= {k: int(v) for k, v in {"n_test": n_test, "runs": runs}.items() if v != "-"}
    value = _row(cited, "checks", **where)[column]
    statistic = f"{check}, {reported} at lambda {lam} of {dataset} against {against}: "
    statistic += _described(CHECKS_TABLE, column)
    return Fact(value, statistic, [], _files(cited, "checks", "original"))


@place("coverage/INTERVAL/DISTRIBUTION/N/COLUMN")
def of_coverage(cited: Sources, interval: str, distribution: str, n: str, column: str) -> Fact:
    """How often an interval covers the true value in simulations."""
    where = {"interval": interval, "distribution": distribution, "n": int(n)}
    value = _row(cited, "calibration", **where)[column]
    statistic = f"{interval}, {distribution}, n = {n}: {_described(CALIBRATION_TABLE, column)}"
    return Fact(value, statistic, [], _files(cited, "calibration"))


@place("false_outcomes/COLUMN")
def of_false_outcomes(cited: Sources, column: str) -> Fact:
    """The largest number over all simulated families of claims, truths and distributions."""
    value = _table(cited, "false_outcomes")[column].max()
    statistic = f"largest over all simulations: {_described(FALSE_OUTCOMES_TABLE, column)}"
    return Fact(value, statistic, [], _files(cited, "false_outcomes"))


@place("rescaled/FACTOR/MEASURE/COLUMN")
def of_rescaled(cited: Sources, factor: str, measure: str, column: str) -> Fact:
    """A measure of flatness of one run with rescaled layers."""
    row = _row(cited, "reparametrization", factor=float(factor), measure=measure)
    statistic = f"{measure}, layers rescaled by {factor}: "
    statistic += _described(REPARAMETRIZATION_TABLE, column)
    return Fact(row[column], statistic, [row["key"]], _files(cited, "reparametrization"))


@place("overall/PROTOCOL/LAMBDA/COLUMN")
def of_overall(cited: Sources, protocol: str, lam: str, column: str) -> Fact:
    """The effect of a lambda over all data sets of a protocol."""
    value = _row(cited, "overall", protocol=protocol, **{"lambda": lam})[column]
    runs = _with_value(_select(cited.metrics, protocol=protocol), "test_accuracy")
    runs = runs[runs["lambda"].isin([lam, BASELINE])]
    statistic = f"lambda {lam} over all data sets: {_described(OVERALL_TABLE, column)}"
    return Fact(value, statistic, _keys(runs), _files(cited, "overall", "metrics"))


@place("test_set/PROTOCOL/DATASET/LAMBDA/COLUMN")
def of_test_set(cited: Sources, protocol: str, dataset: str, lam: str, column: str) -> Fact:
    """The uncertainty of a cell's accuracy from the size of the test set."""
    cell = {"protocol": protocol, "dataset": dataset, "lambda": lam}
    value = _row(cited, "test_sets", **cell)[column]
    runs = _with_value(_select(cited.metrics, **cell), "test_accuracy")
    statistic = f"test accuracy over {len(runs)} runs: {_described(TEST_SETS_TABLE, column)}"
    return Fact(value, statistic, _keys(runs), _files(cited, "test_sets", "metrics"))


@place("variance/DATASET/METRIC/CAUSE/COLUMN")
def of_variance(cited: Sources, dataset: str, metric: str, cause: str, column: str) -> Fact:
    """The spread over runs from one cause of randomness."""
    row = _row(cited, "variance", dataset=dataset, metric=metric, source=cause)
    cell = {"protocol": row["protocol"], "dataset": dataset, "lambda": row["lambda"]}
    runs = _with_value(_select(cited.metrics, **cell), metric)
    described = _described(VARIANCE_TABLE, column)
    statistic = f"{metric}, {len(runs)} runs, {cause} varied: {described}"
    return Fact(row[column], statistic, _keys(runs), _files(cited, "variance", "metrics"))


@place("fit/PROTOCOL/DATASET/LAMBDA/COLUMN")
def of_fit(cited: Sources, protocol: str, dataset: str, lam: str, column: str) -> Fact:
    """The fit of tr(H^2) to the number of examples on which it is measured, over a cell."""
    cell = {"protocol": protocol, "dataset": dataset, "lambda": lam}
    value = _row(cited, "sample_size_fits", **cell)[column]
    statistic = f"tr(H^2) on n examples as a + b/n: {_described(SAMPLE_SIZE_FITS_TABLE, column)}"
    runs = _select(_table(cited, "sample_sizes"), **cell).drop_duplicates("key")
    return Fact(value, statistic, _keys(runs), _files(cited, "sample_size_fits", "sample_sizes"))


@place("equal_loss/PROTOCOL/DATASET/LAMBDA/COLUMN")
def of_equal_loss(cited: Sources, protocol: str, dataset: str, lam: str, column: str) -> Fact:
    """A cell beside lambda 0, at equal training loss and after the last epoch."""
    cell = {"protocol": protocol, "dataset": dataset, "lambda": lam}
    value = _row(cited, "equal_loss", **cell)[column]
    statistic = f"lambda {lam} beside 0, by seed: {_described(EQUAL_LOSS_TABLE, column)}"
    runs = _select(cited.metrics, protocol=protocol, dataset=dataset)
    runs = runs[runs["lambda"].isin([lam, BASELINE])]
    return Fact(value, statistic, _keys(runs), _files(cited, "equal_loss", "metrics"))


@place("correlation/PROTOCOL/DATASET/MEASURE/TARGET/COLUMN")
def of_correlation(
    cited: Sources, protocol: str, dataset: str, measure: str, target: str, column: str
) -> Fact:
    """The correlation of a measure of flatness with its target; `all` for all protocols or data."""
    where = {"protocol": protocol, "dataset": dataset, "measure": measure, "target": target}
    value = _row(cited, "correlations", **where)[column]
    scope = f"protocol {protocol}, data set {dataset}"
    statistic = f"{measure} with {target}, {scope}: {_described(CORRELATIONS_TABLE, column)}"
    filters = {k: v for k, v in list(where.items())[:2] if v != "all"}
    runs = _select(cited.metrics, **filters)
    runs = runs[runs["status"] != tables.DIVERGED]
    return Fact(value, statistic, _keys(runs), _files(cited, "correlations", "flatness", "metrics"))


def _field(cited: Sources, name: str, tree: Any, path: tuple[str, ...], statistic: str) -> Fact:
    for part in path:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return Fact(tree, f"{'/'.join(path)} {statistic}", [], _files(cited, name))


def _table(cited: Sources, name: str) -> pd.DataFrame:
    """A table of the evidence.

    Raises:
        UserError: the study has no such table.
    """
    if name not in cited.evidence:
        raise UserError(f"{name}.csv was not given; add --{name.replace('_', '-')}")
    return cited.evidence[name]


def _row(cited: Sources, name: str, **where: str | float) -> pd.Series:
    """The row of a table of the evidence.

    Raises:
        UserError: the study has no such table, or the table has no such row.
    """
    rows = _select(_table(cited, name), **where)
    if rows.empty:
        raise UserError(f"{name}.csv has nothing at {'/'.join(map(str, where.values()))}")
    return rows.iloc[0]


def _family(cited: Sources, protocol: str, dataset: str, metric: str) -> pd.DataFrame:
    return lookup(cited.tests, (protocol, dataset)).xs(metric, level="metric")


def _select(table: pd.DataFrame, **values: str | float) -> pd.DataFrame:
    """The rows with these values."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def _with_value(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The runs with a value of a metric; none of them diverged."""
    return runs[(runs["status"] != tables.DIVERGED) & runs[metric].notna()]


def _keys(runs: pd.DataFrame) -> list[str]:
    return runs["key"].tolist()


def _files(cited: Sources, *names: str) -> list[str]:
    return [cited.paths[name].as_posix() for name in names]


def _described(table: pa.DataFrameSchema, column: str) -> str:
    return table.columns[column].description
