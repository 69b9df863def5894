r"""The numbers in the paper's text.

The text cites a number by its place: `\val{PLACE}` or `\val[FORMAT]{PLACE}`, where FORMAT is a
format of Python's `format`, or `percent`. This command looks up each place and writes its number as
a macro. A place that does not exist is an error that names file and line. `--help` lists all
kinds of places.

Text inside `\when{NAME}{...}` is printed only if the study has the part NAME: a data set, a
protocol, a claim or a table of the evidence. Places inside it are looked up only then. The file
numbers.json, beside the macros, lists the provenance of each number: see
`flatreg.paper.provenance`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from flatreg import command
from flatreg.disk.files import write_checked_text
from flatreg.errors import UserError
from flatreg.paper import latex, places, provenance, sources
from flatreg.paper.provenance import Printed
from flatreg.paper.sources import Sources

# What matters of a text: `\when{NAME}{`, `\val[FORMAT]{PLACE}`, and braces that are not escaped.
_TOKEN = re.compile(
    r"\\when\{(?P<part>[^}]*)\}\{|\\val(?:\[(?P<format>[^\]]*)\])?\{(?P<place>[^}]*)\}|\\.|[{}]"
)
_DIRECTIONS = {1: "raised", -1: "lowered"}


def main() -> None:
    """Write numbers.tex, and numbers.json beside it."""
    parser = command.Parser(__spec__, __doc__)
    parser.epilog = f"places:\n{places.described()}"
    sources.add_flags(parser)
    parser.add_argument("--text", type=Path, required=True, help="the paper's main.tex")
    parser.add_out("numbers.tex")
    arguments = parser.parse_args()
    definitions = macros(arguments.text, sources.read(arguments))
    write_checked_text(arguments.out, definitions.text)
    provenance.write(arguments.out, definitions.items)


def macros(text: Path, cited: Sources) -> Printed:
    r"""The definitions of all numbers that a text cites, and those for `\when` and `\datalink`.

    Raises:
        UserError: a place does not exist; the message names file and line.
    """
    known = parts(cited)
    values: dict[str, Printed] = {}
    for reference in references(text.read_text(encoding="utf-8")):
        if known.issuperset(reference.parts):
            try:
                value = resolve(reference.place, reference.format, cited)
            except (UserError, KeyError, IndexError, TypeError, ValueError) as error:
                raise UserError(
                    f"{text}, line {reference.line}: \\val{{{reference.place}}} has no number "
                    f"({error}); see python -m flatreg.paper.numbers --help"
                ) from error
            values[f"{reference.format}@{reference.place}"] = value
    lines = [
        provenance.join([rf"\defval{{{name}}}{{", value, "}"]) for name, value in values.items()
    ]
    there = [rf"\defpart{{{name}}}" for name in sorted(known)]
    linked = [rf"\defdatafile{{{name}}}{{{path}}}" for name, path in data_files(cited).items()]
    return provenance.join([*lines, *there, *linked, ""], "\n")


class Reference(NamedTuple):
    r"""A `\val` of a text: its line, and the parts of a study that it is printed only with."""

    line: int
    place: str
    format: str
    parts: tuple[str, ...]


def references(text: str) -> Iterator[Reference]:
    r"""Every `\val` of a text, in its order."""
    depth, guards = 0, []
    for row, line in enumerate(text.splitlines(), start=1):
        for token in _TOKEN.finditer(latex.without_comment(line)):
            if token["place"] is not None:
                names = tuple(name for name, _ in guards)
                yield Reference(row, token["place"], token["format"] or "", names)
            elif token["part"] is not None:
                depth += 1
                guards.append((token["part"], depth))
            elif token[0] == "{":
                depth += 1
            elif token[0] == "}":
                if guards and guards[-1][1] == depth:
                    guards.pop()
                depth -= 1


def data_files(cited: Sources) -> dict[str, str]:
    """The files that captions link to, by name; paths are relative to the PDF's folder."""
    results, pdf = (Path(cited.config["paths"][name]) for name in ("results", "pdf"))
    paths = {name: cited.paths[name] for name in (*sources.FLAGS, *cited.evidence)}
    paths |= {"epochs": results / "tables" / "epochs.csv", "surfaces": results / "surfaces"}
    return {
        name: Path(os.path.relpath(path, pdf.parent)).as_posix() for name, path in paths.items()
    }


def parts(cited: Sources) -> set[str]:
    """The names for `when`: the study's data sets, protocols, claims and tables."""
    claims = set(cited.evidence["claims"]["claim"]) if "claims" in cited.evidence else set()
    return datasets(cited.config) | set(cited.config["protocols"]) | claims | set(cited.evidence)


def datasets(config: dict[str, Any]) -> set[str]:
    """All data sets of a config."""
    return {name for protocol in config["protocols"].values() for name in protocol["datasets"]}


def resolve(place: str, pattern: str, cited: Sources) -> Printed:
    """The content of a place as LaTeX, with provenance."""
    fact = places.look_up(place, cited)
    kind, column = place.split("/")[0], place.split("/")[-1]
    if kind == "verdict":
        text = verdict(fact.value, alpha=cited.config["analysis"]["alpha"])
    elif kind in ("test", "claim", "correlation") and _is_p(column):
        text = latex.p_value(fact.value)
    else:
        text = _write(fact.value, pattern or places.KINDS[kind].written)
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
        changed = {lam: row for lam, row in significant.items() if row["difference"] * sign > 0}
        if changed:
            names = ", ".join(
                f"$\\lambda={name}$ ({_equals(row['welch_p_holm'])})"
                for name, row in changed.items()
            )
            clauses.append(f"{names} {verb} it")
    return f"{' and '.join(clauses)} ({sizes}){tail}"


def _equals(p: float) -> str:
    """The clause p = number, or p < bound."""
    written = latex.p_value(p)
    return f"$p$ {written}" if "<" in written else f"$p$ = {written}"


def _is_p(column: str) -> bool:
    return column == "p" or column.startswith("p_") or "_p" in column


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
