"""Kinds of columns, and checking, reading and writing of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from flatreg.disk.files import check_checksum, checked_path
from flatreg.errors import UserError


def text(description: str, **options: object) -> pa.Column:
    """A column of text."""
    return pa.Column(str, description=description, **options)


def count(description: str, *, nullable: bool = False) -> pa.Column:
    """A column of whole numbers from 0."""
    return pa.Column("Int64", pa.Check.ge(0), description=description, nullable=nullable)


def share(description: str) -> pa.Column:
    """A column of numbers from 0 to 1, which may be missing."""
    return pa.Column(float, pa.Check.in_range(0, 1), description=description, nullable=True)


def number(description: str, *, least: float | None = None) -> pa.Column:
    """A column of numbers, which may be missing."""
    checks = None if least is None else pa.Check.ge(least)
    return pa.Column(float, checks, description=description, nullable=True)


def table(columns: dict[str, pa.Column], *, unique: list[str] | None = None) -> pa.DataFrameSchema:
    """The schema of a table: these columns in this order, and no others.

    Args:
        columns: by name.
        unique: columns that together name a row; None where rows may repeat.
    """
    return pa.DataFrameSchema(columns, strict=True, ordered=True, unique=unique)


def read(path: Path, table: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a CSV file and check it against its schema.

    Raises:
        UserError: the file is missing or empty, was changed after it was made, lacks a column, or
            a value is out of range; the message names file, column and row (the header is row 1).
    """
    types = {name: column.dtype.type for name, column in table.columns.items()}
    header = _read_csv(path, nrows=0).columns
    check_checksum(path)
    missing = [name for name in table.columns if name not in header]
    if missing:
        raise UserError(f"{path}: column {missing[0]!r} is missing; delete it and run again")
    text = [n for n, t in types.items() if not pd.api.types.is_numeric_dtype(t)]
    frame = _read_csv(path, dtype=dict.fromkeys(text, "str"), keep_default_na=True)
    for name in table.columns:
        if name not in text:
            frame[name] = _numeric(path, name, frame[name], str(types[name]))
        elif not table.columns[name].nullable:
            frame[name] = frame[name].astype(object)
    return check(frame, table, str(path))


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the rule that makes it") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a table ({reason}); delete it and run again") from error


def check(frame: pd.DataFrame, table: pa.DataFrameSchema, where: str) -> pd.DataFrame:
    """Check a table and return it with the column types of its schema.

    Raises:
        UserError: names the first value out of range, with its column and row.
    """
    try:
        return table.validate(_typed(frame, table))
    except pa.errors.SchemaError as error:
        cases = getattr(error, "failure_cases", None)
        place = ""
        if isinstance(cases, pd.DataFrame) and "index" in cases and len(cases):
            first = cases.iloc[0]
            row = "" if pd.isna(first["index"]) else f", row {int(first['index']) + 2}"
            case = first["failure_case"]
            place = f"{row}: {getattr(case, 'item', lambda: case)()!r} is out of range"
        column = getattr(error.schema, "name", None)
        named = f"column {column!r}" if column else " ".join(str(error).split())[:120]
        raise UserError(f"{where}: {named}{place}; correct or delete it and run again") from error


def write(path: Path, frame: pd.DataFrame, table: pa.DataFrameSchema) -> None:
    """Check a table and write it as CSV with a checksum beside it; missing values are empty."""
    checked = check(frame, table, str(path))
    with checked_path(path) as temporary:
        checked.to_csv(temporary, index=False, lineterminator="\n")


def _typed(frame: pd.DataFrame, table: pa.DataFrameSchema) -> pd.DataFrame:
    """Convert the columns; integers are nullable, as one missing value would make all floats."""
    frame = frame.copy()
    for name, column in table.columns.items():
        if name not in frame:
            continue
        if str(column.dtype) == "Int64":
            frame[name] = frame[name].astype("Int64")
        elif str(column.dtype) == "float64":
            frame[name] = frame[name].astype(float)
        else:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
            frame[name] = frame[name].astype("str")
    return frame


def _numeric(path: Path, name: str, column: pd.Series, dtype: str) -> pd.Series:
    values = pd.to_numeric(column, errors="coerce")
    wrong = values.isna() & column.notna()
    if wrong.any():
        row = int(wrong.idxmax())
        raise UserError(
            f"{path}: column {name!r}, row {row + 2}: {column[row]!r} is not a number; "
            "correct or delete it and run again"
        )
    return values.astype("Int64" if dtype == "Int64" else float)
