r"""The numbers in the paper's text: `python -m flatreg.paper.numbers --help`.

The text names a number by where it is, `\val{PLACE}` or `\val[FORMAT]{PLACE}`, FORMAT as of
Python's `format`, or `percent`. What it names is looked up and written as a macro; a place that
does not exist is an error that names file and line. Places are

    config/KEY/...                                        a field of the config
    data/SOURCE/KEY/...                                   a field of a data set's manifest
    original/DATASET/LAMBDA/COLUMN                        a number of the original paper
    summary/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN         of summary.csv
    test/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN            of tests.csv
    cost/PROTOCOL/DATASET/LAMBDA                          time of training over that of lambda 0
    bench/KEY/...                                         a field of bench/results/cost.json
    count/runs, count/diverged, count/PROTOCOL/runs       runs of the study
    detectable/PROTOCOL/DATASET                           smallest effect the seeds can show, in sd
    verdict/PROTOCOL/DATASET/METRIC                       what the tests of all lambdas say

A place of a data set that the study leaves out is left undefined: the text speaks of it inside
`\whendataset{DATASET}{...}` alone.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pandas as pd

from flatreg import labels, tables
from flatreg.errors import UserError, run_command
from flatreg.files import write_text
from flatreg.paper import evidence, latex
from flatreg.paper.evidence import Evidence, lookup

_REFERENCE = re.compile(r"\\val(?:\[(?P<format>[^\]]*)\])?\{(?P<place>[^}]*)\}")
_WITH_DATASET = {"original": 1, "summary": 2, "test": 2, "cost": 2, "detectable": 2, "verdict": 2}
_DIRECTIONS = {1: "raised", -1: "lowered"}


def main() -> None:
    """Write numbers.tex."""
    parser = argparse.ArgumentParser(
        prog="python -m flatreg.paper.numbers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evidence.add_flags(parser)
    parser.add_argument("--text", type=Path, required=True, help="the paper's main.tex")
    parser.add_argument("--out", type=Path, required=True, help="numbers.tex")
    arguments = parser.parse_args()
    write_text(arguments.out, macros(arguments.text, evidence.read(arguments)))


def macros(text: Path, found: Evidence) -> str:
    r"""The definitions of all numbers that a text names, and of `\whendataset`.

    Raises:
        UserError: a place does not exist; names file and line.
    """
    values: dict[str, str] = {}
    for row, line in enumerate(text.read_text(encoding="utf-8").splitlines(), start=1):
        for reference in _REFERENCE.finditer(_without_comment(line)):
            place, pattern = reference["place"], reference["format"] or ""
            if _is_left_out(place, found):
                continue
            try:
                values[f"{pattern}@{place}"] = resolve(place, pattern, found)
            except (UserError, KeyError, IndexError, ValueError) as error:
                raise UserError(
                    f"{text}, line {row}: \\val{{{place}}} has no number ({error}); see "
                    "python -m flatreg.paper.numbers --help"
                ) from error
    lines = [rf"\defval{{{name}}}{{{value}}}" for name, value in values.items()]
    lines += [rf"\hasdataset{{{name}}}" for name in sorted(datasets(found.config))]
    return "\n".join(lines) + "\n"


def datasets(config: dict[str, Any]) -> set[str]:
    """All data sets of a config."""
    return {name for protocol in config["protocols"].values() for name in protocol["datasets"]}


def resolve(place: str, pattern: str, found: Evidence) -> str:
    """What a place holds, as LaTeX."""
    kind, *rest = place.split("/")
    match kind:
        case "config":
            return _write(_descend(found.config, rest), pattern)
        case "data":
            return _write(_descend(found.manifests, rest), pattern or ",")
        case "original":
            dataset, lam, column = rest
            return _write(found.original[dataset][lam][column], pattern)
        case "summary":
            return _write(lookup(found.summary, tuple(rest[:4]))[rest[4]], pattern)
        case "test":
            value = lookup(found.tests, tuple(rest[:4]))[rest[4]]
            return latex.p_value(value) if "_p" in rest[4] else _write(value, pattern)
        case "bench":
            return _write(_descend(found.bench, rest), pattern or ".1f")
        case "cost":
            return _write(lookup(found.ratios, tuple(rest)), pattern or ".1f")
        case "count":
            return _write(_count(found.metrics, rest), pattern or ",")
        case "detectable":
            return _write(_detectable(found.tests, *rest), pattern or ".1f")
        case "verdict":
            return verdict(found.tests, *rest, alpha=found.config["analysis"]["alpha"])
    raise UserError(f"{kind!r} is no kind of place")


def verdict(tests: pd.DataFrame, protocol: str, dataset: str, metric: str, *, alpha: float) -> str:
    """One clause on all lambdas above 0 of a data set: which differ from 0, or that none does."""
    family = tests.loc[(protocol, dataset)].xs(metric, level="metric")
    tested = family.dropna(subset=["welch_p_holm"])
    untested = len(family) - len(tested)
    tail = f"; {untested} of {len(family)} could not be tested" if untested else ""
    if tested.empty:
        return "no lambda could be tested"
    lam = tested["welch_p_holm"].idxmin()
    smallest = tested.loc[lam]
    sizes = f"$n$ = {int(smallest['n'])} and {int(smallest['n_baseline'])}"
    significant = tested[tested["welch_p_holm"] < alpha]
    if significant.empty:
        return (
            f"no $\\lambda$ changed it detectably (smallest adjusted $p$ = "
            f"{latex.p_value(smallest['welch_p_holm'])}, at $\\lambda={lam}$, {sizes}){tail}"
        )
    clauses = []
    for sign, verb in _DIRECTIONS.items():
        chosen = significant[significant["difference"] * sign > 0]
        if len(chosen):
            names = ", ".join(
                f"$\\lambda={name}$ ($p$ = {latex.p_value(row['welch_p_holm'])})"
                for name, row in chosen.iterrows()
            )
            clauses.append(f"{names} {verb} it")
    return f"{' and '.join(clauses)} ({sizes}){tail}"


def _is_left_out(place: str, found: Evidence) -> bool:
    kind, *rest = place.split("/")
    if kind == "data":
        return rest[0] not in found.manifests and rest[0] in labels.DATASETS
    if kind == "config" and "datasets" in rest:
        name = rest[rest.index("datasets") + 1]
        return name not in datasets(found.config) and name in labels.DATASETS
    if kind not in _WITH_DATASET:
        return False
    name = rest[_WITH_DATASET[kind] - 1]
    return name not in datasets(found.config) and name in labels.DATASETS


def _without_comment(line: str) -> str:
    return re.sub(r"(?<!\\)%.*", "", line)


def _descend(tree: Any, path: list[str]) -> Any:
    for part in path:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return tree


def _write(value: Any, pattern: str) -> str:
    if isinstance(value, str):
        return latex.escape(value)
    if isinstance(value, list):
        return ", ".join(_write(part, pattern) for part in value)
    if isinstance(value, bool) or value is None:
        return latex.escape(str(value).lower())
    if pattern == "percent":
        return latex.escape(format(value, ".0%"))
    if pattern == "," or (isinstance(value, int) and not pattern):
        return latex.number(value, ",").replace(",", "{,}")
    return latex.number(float(value), pattern or ".3g")


def _count(metrics: pd.DataFrame, path: list[str]) -> int:
    """Runs, or diverged runs, of the study or of one protocol (and data set)."""
    *chosen, what = path
    for column, name in zip(("protocol", "dataset"), chosen, strict=False):
        metrics = metrics[metrics[column] == name]
    if what == "diverged":
        return int((metrics["status"] == tables.DIVERGED).sum())
    if what != "runs":
        raise UserError(f"{what!r} is not counted")
    return len(metrics)


def _detectable(tests: pd.DataFrame, protocol: str, dataset: str) -> float:
    return float(
        tests.loc[(protocol, dataset)].xs("test_accuracy", level="metric")["detectable"].max()
    )


if __name__ == "__main__":
    run_command(main)
