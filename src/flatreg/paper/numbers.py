r"""The numbers in the paper's text.

The text cites a number by its place: `\val{PLACE}` or `\val[FORMAT]{PLACE}`, where FORMAT is a
format of Python's `format`, or `percent`. This command looks up each place and writes its number as
a macro. A place that does not exist is an error that names file and line. Places are

    config/KEY/...                                        a field of the config
    data/SOURCE/KEY/...                                   a field of a data set's manifest
    original/DATASET/LAMBDA/COLUMN                        a number of the original paper
    original_ratio/DATASET/LAMBDA                         its seconds relative to lambda 0
    lambda/PROTOCOL/DATASET/LAMBDA                        this lambda, if the config has it
    summary/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN         of summary.csv
    test/PROTOCOL/DATASET/LAMBDA/METRIC/COLUMN            of tests.csv
    cost/PROTOCOL/DATASET/LAMBDA                          time of a step relative to lambda 0
    bench/KEY/...                                         a field of bench/results/cost.json
    count/runs, count/diverged, count/PROTOCOL/runs       runs of the study
    detectable/PROTOCOL/DATASET                           smallest detectable effect, in sd
    verdict/PROTOCOL/DATASET/METRIC                       result of the tests of all lambdas
    claim/CLAIM/PROTOCOL/COLUMN                           of claims.csv
    claims/VERDICT, claims/all, claims/decided            number of claims, by deciding verdict
    variance/DATASET/METRIC/CAUSE/COLUMN                  of variance.csv
    correlation/PROTOCOL/DATASET/MEASURE/TARGET/COLUMN    of correlations.csv
    overall/PROTOCOL/LAMBDA/COLUMN                        of overall.csv
    test_set/PROTOCOL/DATASET/LAMBDA/COLUMN               of test_sets.csv
    rescaled/FACTOR/MEASURE/COLUMN                        of reparametrization.csv
    grim/DATASET/N_TEST/RUNS/COLUMN                       of grim.csv
    check/CHECK/DATASET/LAMBDA/REPORTED/AGAINST/N_TEST/RUNS/COLUMN   of checks.csv
    coverage/INTERVAL/DISTRIBUTION/N/COLUMN               of calibration.csv

A place stays undefined if the study leaves out its data set or protocol, does not test its claim,
or does not make its table. The text cites such a place only inside `\when{NAME}{...}`; NAME is a
data set, a protocol, a claim or a table of the evidence. numbers.json, beside the macros, lists the
provenance of each number: see `flatreg.paper.provenance`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from flatreg import command, labels
from flatreg.disk.files import write_checked_text
from flatreg.errors import UserError
from flatreg.evidence.variance import SOURCES
from flatreg.paper import latex, places, provenance, sources
from flatreg.paper.provenance import Printed
from flatreg.paper.sources import Sources

_REFERENCE = re.compile(r"\\val(?:\[(?P<format>[^\]]*)\])?\{(?P<place>[^}]*)\}")
# The part of a place that names its data set, by kind of place.
_WITH_DATASET = {
    **{
        "original": 1,
        "original_ratio": 1,
        "summary": 2,
        "test": 2,
        "cost": 2,
        "detectable": 2,
        "verdict": 2,
    },
    **{"variance": 1, "correlation": 2, "lambda": 2, "grim": 1, "check": 2},
    "test_set": 2,
}
# The table of the evidence, by kind of place.
_TABLES = {
    "claim": "claims",
    "claims": "claims",
    "variance": "variance",
    "correlation": "correlations",
    "rescaled": "reparametrization",
    "overall": "overall",
    "test_set": "test_sets",
    "grim": "grim",
    "check": "checks",
    "coverage": "calibration",
}
# Protocols that a smaller study may leave out.
PROTOCOLS = (
    *("as_reported", "every_batch", "only_initialization", "only_order"),
    *("only_split", "only_dropout", "only_probes", "only_test_split"),
)
_FORMATS = {"data": ",", "bench": ".1f", "cost": ".1f", "count": ",", "detectable": ".1f"}
_DIRECTIONS = {1: "raised", -1: "lowered"}


def main() -> None:
    """Write numbers.tex, and numbers.json beside it."""
    parser = command.Parser(__spec__, __doc__)
    sources.add_flags(parser)
    parser.add_argument("--text", type=Path, required=True, help="the paper's main.tex")
    parser.add_out("numbers.tex")
    arguments = parser.parse_args()
    done = macros(arguments.text, sources.read(arguments))
    write_checked_text(arguments.out, done.text)
    provenance.write(arguments.out, done.items)


def macros(text: Path, found: Sources) -> Printed:
    r"""The definitions of all numbers that a text cites, and those for `\when` and `\datalink`.

    Raises:
        UserError: a place does not exist; the message names file and line.
    """
    values: dict[str, Printed] = {}
    for row, line in enumerate(text.read_text(encoding="utf-8").splitlines(), start=1):
        for reference in _REFERENCE.finditer(latex.without_comment(line)):
            place, pattern = reference["place"], reference["format"] or ""
            if _is_left_out(place, found):
                continue
            try:
                values[f"{pattern}@{place}"] = resolve(place, pattern, found)
            except (UserError, KeyError, IndexError, TypeError, ValueError) as error:
                raise UserError(
                    f"{text}, line {row}: \\val{{{place}}} has no number ({error}); see "
                    "python -m flatreg.paper.numbers --help"
                ) from error
    lines = [
        provenance.join([rf"\defval{{{name}}}{{", value, "}"]) for name, value in values.items()
    ]
    known = [rf"\defpart{{{name}}}" for name in sorted(parts(found))]
    linked = [rf"\defdatafile{{{name}}}{{{path}}}" for name, path in data_files(found).items()]
    return provenance.join([*lines, *known, *linked, ""], "\n")


def data_files(found: Sources) -> dict[str, str]:
    """The files that captions link to, by name; paths are relative to the PDF's folder."""
    results, pdf = (Path(found.config["paths"][name]) for name in ("results", "pdf"))
    paths = {name: found.paths[name] for name in (*sources.FLAGS, *found.evidence)}
    paths |= {"epochs": results / "tables" / "epochs.csv", "surfaces": results / "surfaces"}
    return {
        name: Path(os.path.relpath(path, pdf.parent)).as_posix() for name, path in paths.items()
    }


def parts(found: Sources) -> set[str]:
    """The names for `when`: the study's data sets, protocols, claims and tables."""
    claims = set(found.evidence["claims"]["claim"]) if "claims" in found.evidence else set()
    return datasets(found.config) | set(found.config["protocols"]) | claims | set(found.evidence)


def datasets(config: dict[str, Any]) -> set[str]:
    """All data sets of a config."""
    return {name for protocol in config["protocols"].values() for name in protocol["datasets"]}


def resolve(place: str, pattern: str, found: Sources) -> Printed:
    """The content of a place as LaTeX, with provenance."""
    fact = places.look_up(place, found)
    kind, column = place.split("/")[0], place.split("/")[-1]
    if kind == "verdict":
        text = verdict(fact.value, alpha=found.config["analysis"]["alpha"])
    elif kind in ("test", "claim", "correlation") and _is_p(column):
        text = latex.p_value(fact.value)
    else:
        text = _write(fact.value, pattern or _FORMATS.get(kind, ""))
    return provenance.printed(place, fact, text)


def verdict(family: dict[str, dict[str, Any]], *, alpha: float) -> str:
    """A clause about all lambdas above 0 of a data set: which differ from 0, or that none does.

    Args:
        family: value of `places.of_verdict`.
        alpha: significance level of the tests.
    """
    tested = {lam: row for lam, row in family.items() if pd.notna(row["welch_p_holm"])}
    untested = len(family) - len(tested)
    tail = f"; {untested} of {len(family)} could not be tested" if untested else ""
    if not tested:
        return "no lambda could be tested"
    lam, smallest = min(tested.items(), key=lambda entry: entry[1]["welch_p_holm"])
    sizes = f"$n$ = {int(smallest['n'])} and {int(smallest['n_baseline'])}"
    significant = {lam: row for lam, row in tested.items() if row["welch_p_holm"] < alpha}
    if not significant:
        return (
            f"no $\\lambda$ changed it detectably (smallest adjusted "
            f"{_equals(smallest['welch_p_holm'])}, at $\\lambda={lam}$, {sizes}){tail}"
        )
    clauses = []
    for sign, verb in _DIRECTIONS.items():
        chosen = {lam: row for lam, row in significant.items() if row["difference"] * sign > 0}
        if chosen:
            names = ", ".join(
                f"$\\lambda={name}$ ({_equals(row['welch_p_holm'])})"
                for name, row in chosen.items()
            )
            clauses.append(f"{names} {verb} it")
    return f"{' and '.join(clauses)} ({sizes}){tail}"


def _equals(p: float) -> str:
    """The clause p = number, or p < bound."""
    written = latex.p_value(p)
    return f"$p$ {written}" if "<" in written else f"$p$ = {written}"


def _is_p(column: str) -> bool:
    return column == "p" or column.startswith("p_") or "_p" in column


def _is_left_out(place: str, found: Sources) -> bool:
    kind, *rest = place.split("/")
    if kind in _TABLES and _TABLES[kind] not in found.evidence:
        return True
    if kind == "claim":
        return rest[0] not in set(found.evidence["claims"]["claim"])
    if kind == "variance":
        varied = found.evidence["variance"]
        sources_there = set(varied.loc[varied["dataset"] == rest[0], "source"])
        return _is_of_other_study(rest[2], sources_there, SOURCES)
    if kind == "data":
        return rest[0] not in found.manifests and rest[0] in labels.DATASETS
    return _is_of_other_study(_dataset_of(kind, rest), datasets(found.config), labels.DATASETS) or (
        _is_of_other_study(_protocol_of(kind, rest), found.config["protocols"], PROTOCOLS)
    )


def _is_of_other_study(name: str | None, there: Container[str], known: Container[str]) -> bool:
    """Whether a name is known but not in this study; an unknown name is a mistake."""
    return name is not None and name not in there and name in known


def _dataset_of(kind: str, rest: list[str]) -> str | None:
    """The data set of a place."""
    if kind == "config" and "datasets" in rest:
        return rest[rest.index("datasets") + 1]
    return rest[_WITH_DATASET[kind] - 1] if kind in _WITH_DATASET else None


def _protocol_of(kind: str, rest: list[str]) -> str | None:
    """The protocol of a place."""
    if kind == "config" and "protocols" in rest:
        return rest[rest.index("protocols") + 1]
    if kind == "count" and len(rest) > 1:
        return rest[0]
    return rest[0] if _WITH_DATASET.get(kind) == 2 and kind != "check" else None


def _write(value: Any, pattern: str) -> str:
    if isinstance(value, str):
        return latex.escape(value)
    if isinstance(value, list):
        return ", ".join(_write(part, pattern) for part in value)
    if isinstance(value, bool) or value is None:
        return latex.escape(str(value).lower())
    if pd.isna(value):
        return latex.MISSING
    if pattern == "percent":
        return latex.escape(format(value, ".0%"))
    if pattern == "," or (isinstance(value, Integral) and not pattern):
        return latex.number(value, ",").replace(",", "{,}")
    return latex.number(float(value), pattern or ".3g")


if __name__ == "__main__":
    command.run(main)
