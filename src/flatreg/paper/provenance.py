"""Provenance of printed numbers: items, kept as JSON beside the LaTeX that prints them."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from flatreg.disk.files import read_json, write_checked_json
from flatreg.errors import UserError
from flatreg.paper import latex


class Fact(NamedTuple):
    """The content of one place in the results, and its provenance.

    Attributes:
        value: a number as computed, a text, or a mapping of these; None means missing.
        statistic: a description of the value.
        runs: keys (in metrics.csv) of the runs behind it; empty if it comes from files only.
        files: the files that it was read from.
    """

    value: Any
    statistic: str
    runs: list[str]
    files: list[str]


class Item(NamedTuple):
    """One number of the paper: a fact with its name and printed form.

    Attributes:
        id: a place (see `flatreg.paper.numbers`) or a cell, TABLE/PROTOCOL/LAMBDA/METRIC/COLUMN.
        printed: the text that a reader sees.
        value: the unrounded value.
        statistic: a description of the value.
        runs: keys of the runs behind it.
        files: the files that it was read from.
        command: the command that wrote it.
    """

    id: str
    printed: str
    value: Any
    statistic: str
    runs: list[str]
    files: list[str]
    command: str


class Printed(NamedTuple):
    """LaTeX, with the items whose numbers it prints."""

    text: str
    items: list[Item]


def printed(name: str, fact: Fact, text: str) -> Printed:
    """Print a fact.

    Args:
        name: the item's id.
        fact: the fact to print.
        text: its printed form as LaTeX.
    """
    plain_fact = fact._replace(value=plain(fact.value))
    return Printed(text, [Item(name, latex.plain(text), *plain_fact, command_line())])


def join(parts: Iterable[Printed | str], between: str = "") -> Printed:
    """Join printed parts and bare LaTeX."""
    parts = list(parts)
    text = between.join(part if isinstance(part, str) else part.text for part in parts)
    return Printed(text, [i for part in parts if isinstance(part, Printed) for i in part.items])


def command_line() -> str:
    """This process as a command that a person can type."""
    return shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])


def plain(value: Any) -> Any:
    """A value for JSON: numbers of numpy and pandas as Python's, missing ones as None."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return None if value is None or pd.isna(value) else value


def sidecar(path: Path) -> Path:
    """The path of the items of a LaTeX file."""
    return path.with_suffix(".json")


def write(path: Path, items: list[Item]) -> None:
    """Write the items of the LaTeX file `path` beside it, without duplicates."""
    distinct = {(item.id, item.printed): item for item in items}
    write_checked_json(sidecar(path), [item._asdict() for item in distinct.values()])


def read(path: Path) -> list[Item]:
    """Read the items of one sidecar (JSON).

    Raises:
        UserError: the file is missing or has other content.
    """
    try:
        return [Item(**item) for item in read_json(path)]
    except TypeError as error:
        raise UserError(f"{path} holds no items ({error}); delete it and run again") from error
