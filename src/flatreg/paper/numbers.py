r"""The numbers in the paper's text.

The text cites a number by its place: `\val{PLACE}` or `\val[FORMAT]{PLACE}`, where FORMAT is a
format of Python's `format`, `percent`, or `points` (percentage points, with a sign).
`\est[FORMAT]{PLACE}` prints the columns estimate, low and high of a place. This command looks up
each place and writes its number as a macro. A place that does not exist is an error that names file
and line. `--help` lists all kinds of places.

Text inside `\when{NAME}{...}` is printed only if the study has the part NAME: a data set, a
protocol, a claim or a table of the evidence. Text inside `\pick{PLACE}{WORD, WORD}{...}` is printed
only if the place holds one of the words, such as a verdict, so that a sentence that states a
direction follows the numbers. A text must have words for everything that its place can hold.
Places inside either are looked up only where it is printed. The file numbers.json, beside the
macros, lists the provenance of each number: see `flatreg.paper.provenance`.
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

# What matters of a text: `\when{NAME}{`, `\pick{PLACE}{WORDS}{`, `\val[FORMAT]{PLACE}`,
# `\est[FORMAT]{PLACE}`, and braces that are not escaped. Arguments of macros (#) are no places.
_TOKEN = re.compile(
    r"\\when\{(?P<part>[^}]*)\}\{"
    r"|\\pick\{(?P<picked>[^}]*)\}\{(?P<words>[^}]*)\}\{"
    r"|\\(?P<command>val|est)(?:\[(?P<format>[^\]]*)\])?\{(?P<place>[^}#]*)\}|\\.|[{}]"
)
# What a command prints of its place.
COLUMNS = {"val": [""], "est": ["/estimate", "/low", "/high"]}
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
    r"""The definitions of all numbers that a text cites, and those for its other commands.

    Raises:
        UserError: a place does not exist, or can hold a word for which the text has nothing; the
            message names file and line.
    """
    known = parts(cited)
    values: dict[str, Printed] = {}
    picked: list[Pick] = []
    for citation in citations(text.read_text(encoding="utf-8")):
        if not known.issuperset(citation.guards):
            continue
        try:
            if isinstance(citation, Pick):
                picked.append(citation)
                if places.look_up(citation.place, cited).value in citation.words:
                    known.add(citation.guard)
            else:
                value = resolve(citation.place, citation.format, cited)
                values[f"{citation.format}@{citation.place}"] = value
        except (UserError, KeyError, IndexError, TypeError, ValueError) as error:
            command = "pick" if isinstance(citation, Pick) else "val"
            raise UserError(
                f"{text}, line {citation.line}: \\{command}{{{citation.place}}} has no content "
                f"({error}); see python -m flatreg.paper.numbers --help"
            ) from error
    _check_words(text, picked)
    lines = [
        provenance.join([rf"\defval{{{name}}}{{", value, "}"]) for name, value in values.items()
    ]
    there = [rf"\defpart{{{name}}}" for name in sorted(known)]
    linked = [rf"\defdatafile{{{name}}}{{{path}}}" for name, path in data_files(cited).items()]
    return provenance.join([*lines, *there, *linked, ""], "\n")


class Reference(NamedTuple):
    r"""A `\val` of a text: its line, and what must be there for it to be printed."""

    line: int
    place: str
    format: str
    guards: tuple[str, ...]


class Pick(NamedTuple):
    r"""A `\pick` of a text: its line, its words, and what must be there for it to be looked at."""

    line: int
    place: str
    guard: str
    words: list[str]
    guards: tuple[str, ...]


def citations(text: str) -> Iterator[Reference | Pick]:
    r"""Every `\val` and `\pick` of a text, in its order."""
    depth, guards = 0, []
    for row, line in enumerate(text.splitlines(), start=1):
        for token in _TOKEN.finditer(latex.without_comment(line)):
            outer = tuple(name for name, _ in guards)
            if token["place"] is not None:
                for column in COLUMNS[token["command"]]:
                    yield Reference(row, token["place"] + column, token["format"] or "", outer)
            elif token["part"] is not None:
                depth += 1
                guards.append((token["part"], depth))
            elif token["picked"] is not None:
                depth += 1
                guard = f"{token['picked']}={token['words']}"
                guards.append((guard, depth))
                yield Pick(row, token["picked"], guard, token["words"].split(", "), outer)
            elif token[0] == "{":
                depth += 1
            elif token[0] == "}":
                if guards and guards[-1][1] == depth:
                    guards.pop()
                depth -= 1


def _check_words(text: Path, picked: list[Pick]) -> None:
    r"""Check that the picks of each place have a text for every word that it can hold.

    Raises:
        UserError: one has not; or a word is none that the place can hold.
    """
    for place in dict.fromkeys(pick.place for pick in picked):
        of_place = [pick for pick in picked if pick.place == place]
        words = {word for pick in of_place for word in pick.words}
        possible = set(places.words(place))
        for problem, some in (
            ("has no text for", possible - words),
            ("cannot be", words - possible),
        ):
            if some:
                raise UserError(
                    f"{text}, line {of_place[0].line}: \\pick{{{place}}} {problem} "
                    f"{', '.join(sorted(some))}; it can be {', '.join(places.words(place))}"
                )


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
    if pattern == "points":
        return latex.number(100 * value, "+.2f")
    if pattern == "," or (isinstance(value, Integral) and not pattern):
        return latex.number(value, ",").replace(",", "{,}")
    return latex.number(float(value), pattern or ".3g")


if __name__ == "__main__":
    command.run(main)
