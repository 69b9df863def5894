"""Where each printed number came from: items, kept as JSON beside the LaTeX that prints them."""

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
    """What one place of the results holds, and what made it.

    Attributes:
        value: a number as it was computed, a text, or a mapping of such; None is missing.
        statistic: what it is, in words.
        runs: keys (of metrics.csv) of the runs that it was computed from; none where it was
            read from the files alone.
        files: the files it was read from.
    """

    value: Any
    statistic: str
    runs: list[str]
    files: list[str]


class Item(NamedTuple):
    """One number of the paper: a fact, what it is called and how it is printed.

    Attributes:
        id: a place (see `flatreg.paper.numbers`) or a cell, TABLE/PROTOCOL/LAMBDA/METRIC/COLUMN.
        printed: as a reader sees it.
        value: unrounded.
        statistic: in words.
        runs: keys of the runs that made it.
        files: the files it was read from.
        command: what wrote it, and writes it again.
    """

    id: str
    printed: str
    value: Any
    statistic: str
    runs: list[str]
    files: list[str]
    command: str


class Printed(NamedTuple):
    """LaTeX, and the items whose numbers stand in it."""

    text: str
    items: list[Item]


def printed(name: str, fact: Fact, text: str) -> Printed:
    """A fact in print.

    Args:
        name: the item's id.
        fact: what is printed.
        text: how, as LaTeX.
    """
    plain_fact = fact._replace(value=plain(fact.value))
    return Printed(text, [Item(name, latex.plain(text), *plain_fact, command_line())])


def join(parts: Iterable[Printed | str], between: str = "") -> Printed:
    """Printed parts and bare LaTeX, one after another."""
    parts = list(parts)
    text = between.join(part if isinstance(part, str) else part.text for part in parts)
    return Printed(text, [i for part in parts if isinstance(part, Printed) for i in part.items])


def command_line() -> str:
    """The command that this process is, as one types it."""
    return shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])


def plain(value: Any) -> Any:
    """A value as JSON has it: numpy's and pandas' numbers as Python's, a missing one as None."""
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
    """Where the items of a LaTeX file are kept."""
    return path.with_suffix(".json")


def write(path: Path, items: list[Item]) -> None:
    """Write the items of the LaTeX file `path` beside it; what is printed twice alike, once."""
    distinct = {(item.id, item.printed): item for item in items}
    write_checked_json(sidecar(path), [item._asdict() for item in distinct.values()])


def read(path: Path) -> list[Item]:
    """Read one sidecar (JSON).

    Raises:
        UserError: it is missing or holds something else.
    """
    try:
        return [Item(**item) for item in read_json(path)]
    except TypeError as error:
        raise UserError(f"{path} holds no items ({error}); delete it and run again") from error
