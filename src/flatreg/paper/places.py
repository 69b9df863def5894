"""Look up the content and provenance of a place in the results: one function per kind of place."""

from __future__ import annotations

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
    OVERALL_TABLE,
    REPARAMETRIZATION_TABLE,
    TEST_SETS_TABLE,
    VARIANCE_TABLE,
    VERDICTS,
)
from flatreg.tables.reported import CHECKS_TABLE, GRIM_TABLE

Lookup = Callable[..., Fact]


class Place(NamedTuple):
    """A kind of place.

    Attributes:
        pattern: what names one, its parts in capitals.
        look_up: `look_up(found, *parts) -> Fact`, the parts those behind the kind.
        written: format of its numbers where the text asks for none, as of Python's `format`.
    """

    pattern: str
    look_up: Callable[..., Fact]
    written: str


# Every kind of place by the first word of its pattern.
KINDS: dict[str, Place] = {}


def place(pattern: str, *, written: str = "") -> Callable[[Lookup], Lookup]:
    """Register the function that looks a kind of place up."""

    def register(look_up: Lookup) -> Lookup:
        KINDS[pattern.partition("/")[0]] = Place(pattern, look_up, written)
        return look_up

    return register


def described() -> str:
    """One line for each kind of place: its pattern, and what stands there."""
    width = max(len(kind.pattern) for kind in KINDS.values())
    return "\n".join(
        f"    {kind.pattern:<{width}}  {str(kind.look_up.__doc__).splitlines()[0]}"
        for kind in KINDS.values()
    )


def look_up(name: str, found: Sources) -> Fact:
    """What stands at a place.

    Raises:
        UserError: the kind of place is unknown, or the place is empty.
        KeyError, IndexError, TypeError, ValueError: a part of the place is wrong.
    """
    kind, *parts = name.split("/")
    if kind not in KINDS:
        raise UserError(f"{kind!r} is no kind of place")
    return KINDS[kind].look_up(found, *parts)


@place("config/KEY/...")
def of_config(found: Sources, *path: str) -> Fact:
    """A field of the config."""
    return _field(found, "config", found.config, path, "as the config says")


@place("data/SOURCE/KEY/...", written=",")
def of_data(found: Sources, source: str, *path: str) -> Fact:
    """A field of a data set's manifest."""
    manifest = found.manifests[source]
    return _field(found, source, manifest, path, "as counted in the prepared data set")


@place("bench/KEY/...", written=".1f")
def of_bench(found: Sources, *path: str) -> Fact:
    """A field of the results of `make bench`."""
    return _field(found, "bench", found.bench, path, "as `make bench` measured it")


@place("original/DATASET/LAMBDA/COLUMN")
def of_original(found: Sources, dataset: str, lam: str, column: str) -> Fact:
    """A number of the original."""
    said = f"{column} as the original paper reports it"
    return Fact(found.original[dataset][lam][column], said, [], _files(found, "original"))


@place("original_ratio/DATASET/LAMBDA")
def of_original_ratio(found: Sources, dataset: str, lam: str) -> Fact:
    """The original's training time relative to its training time at lambda 0."""
    seconds = [found.original[dataset][name]["seconds"] for name in (lam, BASELINE)]
    said = f"the original paper's seconds at lambda {lam} over those at lambda {BASELINE}"
    return Fact(seconds[0] / seconds[1], said, [], _files(found, "original"))


@place("lambda/PROTOCOL/DATASET/LAMBDA")
def of_lambda(found: Sources, protocol: str, dataset: str, lam: str) -> Fact:
    """A lambda of a data set.

    Raises:
        UserError: the data set has no such lambda in the config.
    """
    known = found.config["protocols"][protocol]["datasets"][dataset]["lambdas"]
    if lam not in known:
        raise UserError(f"{dataset} of {protocol} has no lambda {lam}; it has {', '.join(known)}")
    return Fact(lam, "strength of the penalty, as the config says", [], _files(found, "config"))


@place("summary/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN")
def of_summary(
    found: Sources, protocol: str, dataset: str, lam: str, metric: str, column: str
) -> Fact:
    """A statistic over the runs of a cell; `diverged` comes from the diverged runs."""
    value = lookup(found.summary, (protocol, dataset, lam, metric))[column]
    cell = _chosen(found.metrics, protocol=protocol, dataset=dataset, **{"lambda": lam})
    if column == "diverged":
        runs = cell[cell["status"] == tables.DIVERGED]
    else:
        runs = _with_value(cell, metric)
    said = f"{metric} over {len(runs)} runs: {_described(tables.SUMMARY_TABLE, column)}"
    return Fact(value, said, _keys(runs), _files(found, "summary", "metrics"))


def of_key(found: Sources, protocol: str, dataset: str, lam: str) -> Fact:
    """The key of a cell's first run."""
    cell = _chosen(found.metrics, protocol=protocol, dataset=dataset, **{"lambda": lam})
    key = cell["key"].iloc[0]
    return Fact(key, "key of the cell's first run", [key], _files(found, "metrics"))


@place("test/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN")
def of_tests(
    found: Sources, protocol: str, dataset: str, lam: str, metric: str, column: str
) -> Fact:
    """A statistic of a cell against lambda 0; an adjusted p comes from all lambdas."""
    value = lookup(found.tests, (protocol, dataset, lam, metric))[column]
    runs = _with_value(_chosen(found.metrics, protocol=protocol, dataset=dataset), metric)
    if not column.endswith("_holm"):
        runs = runs[runs["lambda"].isin([lam, BASELINE])]
    said = f"{metric} at lambda {lam} against lambda 0: {_described(tables.TESTS_TABLE, column)}"
    return Fact(value, said, _keys(runs), _files(found, "tests", "metrics"))


@place("cost/PROTOCOL/DATASET/LAMBDA", written=".1f")
def of_cost(found: Sources, protocol: str, dataset: str, lam: str) -> Fact:
    """The time of a step relative to that at lambda 0."""
    value = lookup(found.ratios, (protocol, dataset, lam))
    runs = _chosen(found.metrics, protocol=protocol, dataset=dataset)
    runs = runs[runs["lambda"].isin([lam, BASELINE]) & (runs["steps"] > 0)]
    said = f"median seconds a step at lambda {lam} over that at lambda {BASELINE}"
    return Fact(value, said, _keys(runs), _files(found, "times", "metrics"))


@place("count/[PROTOCOL/[DATASET/]]WHAT", written=",")
def of_count(found: Sources, *path: str) -> Fact:
    """The number of runs, or diverged runs, of the study or of one protocol (and data set)."""
    *chosen, what = path
    runs = _chosen(found.metrics, **dict(zip(("protocol", "dataset"), chosen, strict=False)))
    if what == "diverged":
        runs = runs[runs["status"] == tables.DIVERGED]
    elif what != "runs":
        raise UserError(f"{what!r} is not counted")
    said = " ".join(["number of", *(["diverged"] if what == "diverged" else []), "runs"])
    return Fact(len(runs), said, _keys(runs), _files(found, "metrics"))


@place("detectable/PROTOCOL/DATASET", written=".1f")
def of_detectable(found: Sources, protocol: str, dataset: str) -> Fact:
    """The smallest effect on test accuracy that the seeds of all lambdas can detect."""
    family = _family(found, protocol, dataset, "test_accuracy")
    runs = _with_value(_chosen(found.metrics, protocol=protocol, dataset=dataset), "test_accuracy")
    said = f"largest over the lambdas: {_described(tables.TESTS_TABLE, 'detectable')}"
    files = _files(found, "tests", "metrics")
    return Fact(float(family["detectable"].max()), said, _keys(runs), files)


@place("verdict/PROTOCOL/DATASET/METRIC")
def of_verdict(found: Sources, protocol: str, dataset: str, metric: str) -> Fact:
    """Difference, adjusted p and sample sizes, for each lambda above 0."""
    family = _family(found, protocol, dataset, metric)
    columns = ["difference", "welch_p_holm", "n", "n_baseline"]
    runs = _with_value(_chosen(found.metrics, protocol=protocol, dataset=dataset), metric)
    said = f"{metric}, every lambda against lambda 0: Welch's p, adjusted (Holm)"
    value = {lam: row.to_dict() for lam, row in family[columns].iterrows()}
    return Fact(value, said, _keys(runs), _files(found, "tests", "metrics"))


@place("claim/CLAIM/PROTOCOL/COLUMN")
def of_claim(found: Sources, claim: str, protocol: str, column: str) -> Fact:
    """A result for a claim of the original."""
    value = _row(found, "claims", claim=claim, protocol=protocol)[column]
    said = f"claim {claim} under {protocol}: {_described(CLAIMS_TABLE, column)}"
    behind = found.evidence.get("claim_runs")
    if behind is None:
        return Fact(value, said, [], _files(found, "claims"))
    runs = _chosen(behind, claim=claim, protocol=protocol)
    return Fact(value, said, _keys(runs), _files(found, "claims", "claim_runs"))


@place("claims/WHAT")
def of_claims(found: Sources, what: str) -> Fact:
    """The number of claims: all, with a verdict (decided), or with one given verdict.

    The first protocol of a claim decides.
    """
    deciding = _table(found, "claims").drop_duplicates("claim")
    chosen = {verdict: [verdict] for verdict in VERDICTS}
    chosen |= {"all": VERDICTS, "decided": [v for v in VERDICTS if v != "undetermined"]}
    if what not in chosen:
        raise UserError(f"{what!r} is no verdict; known are {', '.join(chosen)}")
    rows = deciding[deciding["verdict"].isin(chosen[what])]
    runs = _table(found, "claim_runs").merge(rows[["claim", "protocol"]])
    said = f"number of claims by verdict of their first protocol: {what}"
    return Fact(len(rows), said, sorted(set(_keys(runs))), _files(found, "claims", "claim_runs"))


@place("grim/DATASET/N_TEST/RUNS/COLUMN")
def of_grim(found: Sources, dataset: str, n_test: str, runs: str, column: str) -> Fact:
    """What a supposed test set and number of runs make of the original's accuracies."""
    where = {"dataset": dataset, "n_test": int(n_test), "runs": int(runs)}
    value = _row(found, "grim", **where)[column]
    said = f"accuracies of {dataset}, {n_test} examples x {runs} runs: " + _described(
        GRIM_TABLE, column
    )
    return Fact(value, said, [], _files(found, "grim", "original"))


@place("check/CHECK/DATASET/LAMBDA/REPORTED/AGAINST/N_TEST/RUNS/COLUMN")
def of_check(
    found: Sources,
    check: str,
    dataset: str,
    lam: str,
    reported: str,
    against: str,
    n_test: str,
    runs: str,
    column: str,
) -> Fact:
    """What a number of the original was held against; `-` where a check has no test set or runs."""
    where: dict[str, Any] = {"check": check, "dataset": dataset, "lambda": lam, "column": reported}
    where |= {"against": against}
    where |= {k: int(v) for k, v in {"n_test": n_test, "runs": runs}.items() if v != "-"}
    value = _row(found, "checks", **where)[column]
    said = f"{check}, {reported} at lambda {lam} of {dataset} against {against}: "
    said += _described(CHECKS_TABLE, column)
    return Fact(value, said, [], _files(found, "checks", "original"))


@place("coverage/INTERVAL/DISTRIBUTION/N/COLUMN")
def of_coverage(found: Sources, interval: str, distribution: str, n: str, column: str) -> Fact:
    """How often an interval holds the true value in simulation."""
    where = {"interval": interval, "distribution": distribution, "n": int(n)}
    value = _row(found, "calibration", **where)[column]
    said = f"{interval}, {distribution}, n = {n}: {_described(CALIBRATION_TABLE, column)}"
    return Fact(value, said, [], _files(found, "calibration"))


@place("rescaled/FACTOR/MEASURE/COLUMN")
def of_rescaled(found: Sources, factor: str, measure: str, column: str) -> Fact:
    """A measure of flatness of one run with rescaled layers."""
    row = _row(found, "reparametrization", factor=float(factor), measure=measure)
    said = f"{measure}, layers rescaled by {factor}: "
    said += _described(REPARAMETRIZATION_TABLE, column)
    return Fact(row[column], said, [row["key"]], _files(found, "reparametrization"))


@place("overall/PROTOCOL/LAMBDA/COLUMN")
def of_overall(found: Sources, protocol: str, lam: str, column: str) -> Fact:
    """The effect of a lambda over all data sets of a protocol."""
    value = _row(found, "overall", protocol=protocol, **{"lambda": lam})[column]
    runs = _with_value(_chosen(found.metrics, protocol=protocol), "test_accuracy")
    runs = runs[runs["lambda"].isin([lam, BASELINE])]
    said = f"lambda {lam} over all data sets: {_described(OVERALL_TABLE, column)}"
    return Fact(value, said, _keys(runs), _files(found, "overall", "metrics"))


@place("test_set/PROTOCOL/DATASET/LAMBDA/COLUMN")
def of_test_set(found: Sources, protocol: str, dataset: str, lam: str, column: str) -> Fact:
    """The uncertainty of a cell's accuracy from the size of the test set."""
    cell = {"protocol": protocol, "dataset": dataset, "lambda": lam}
    value = _row(found, "test_sets", **cell)[column]
    runs = _with_value(_chosen(found.metrics, **cell), "test_accuracy")
    said = f"test accuracy over {len(runs)} runs: {_described(TEST_SETS_TABLE, column)}"
    return Fact(value, said, _keys(runs), _files(found, "test_sets", "metrics"))


@place("variance/DATASET/METRIC/CAUSE/COLUMN")
def of_variance(found: Sources, dataset: str, metric: str, source: str, column: str) -> Fact:
    """The share of the spread over runs that one cause of randomness makes."""
    row = _row(found, "variance", dataset=dataset, metric=metric, source=source)
    cell = {"protocol": row["protocol"], "dataset": dataset, "lambda": row["lambda"]}
    runs = _with_value(_chosen(found.metrics, **cell), metric)
    described = _described(VARIANCE_TABLE, column)
    said = f"{metric}, {len(runs)} runs, {source} varied: {described}"
    return Fact(row[column], said, _keys(runs), _files(found, "variance", "metrics"))


@place("correlation/PROTOCOL/DATASET/MEASURE/TARGET/COLUMN")
def of_correlation(
    found: Sources, protocol: str, dataset: str, measure: str, target: str, column: str
) -> Fact:
    """How a measure of flatness goes with what it should foretell, over runs of these or of all."""
    where = {"protocol": protocol, "dataset": dataset, "measure": measure, "target": target}
    value = _row(found, "correlations", **where)[column]
    scope = f"protocol {protocol}, data set {dataset}"
    said = f"{measure} with {target}, {scope}: {_described(CORRELATIONS_TABLE, column)}"
    chosen = {k: v for k, v in list(where.items())[:2] if v != "all"}
    runs = _chosen(found.metrics, **chosen)
    runs = runs[runs["status"] != tables.DIVERGED]
    return Fact(value, said, _keys(runs), _files(found, "correlations", "flatness", "metrics"))


def _field(found: Sources, name: str, tree: Any, path: tuple[str, ...], said: str) -> Fact:
    for part in path:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return Fact(tree, f"{'/'.join(path)} {said}", [], _files(found, name))


def _table(found: Sources, name: str) -> pd.DataFrame:
    """A table of the evidence.

    Raises:
        UserError: the table was not given.
    """
    if name not in found.evidence:
        raise UserError(f"{name}.csv was not given; add --{name.replace('_', '-')}")
    return found.evidence[name]


def _row(found: Sources, name: str, **where: str | float) -> pd.Series:
    """The row of a table of the evidence.

    Raises:
        UserError: the study has no such table, or the table has no such row.
    """
    rows = _chosen(_table(found, name), **where)
    if rows.empty:
        raise UserError(f"{name}.csv has nothing at {'/'.join(map(str, where.values()))}")
    return rows.iloc[0]


def _family(found: Sources, protocol: str, dataset: str, metric: str) -> pd.DataFrame:
    return lookup(found.tests, (protocol, dataset)).xs(metric, level="metric")


def _chosen(table: pd.DataFrame, **values: str | float) -> pd.DataFrame:
    """The rows with these values."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def _with_value(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The runs behind a statistic; diverged runs are in none."""
    return runs[(runs["status"] != tables.DIVERGED) & runs[metric].notna()]


def _keys(runs: pd.DataFrame) -> list[str]:
    return runs["key"].tolist()


def _files(found: Sources, *names: str) -> list[str]:
    return [found.paths[name].as_posix() for name in names]


def _described(table: pa.DataFrameSchema, column: str) -> str:
    return table.columns[column].description
