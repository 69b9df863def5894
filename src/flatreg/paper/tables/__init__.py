"""The paper's tables, each with what made its numbers.

A new table is a module in this folder with `table(found) -> Printed`, and a line in `TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

# The tables of the whole study by the names that main.tex inputs, each with its module. There is
# one more for each data set, table_DATASET, by the module `results`.
TABLES = {
    "ledger": "ledger",
    "table_variance": "variance",
    "table_forensics": "forensics",
    "appendix": "cells",
}
OF_DATASET = "DATASET"


def table_module(name: str) -> str:
    """The module of this folder that makes a table."""
    return TABLES.get(name, "results")


def table_function(name: str) -> Callable[[Any], Any]:
    """The function that makes a table of all that the paper may cite."""
    table = import_module(f"flatreg.paper.tables.{table_module(name)}").table
    return table if name in TABLES else partial(table, dataset=name.removeprefix("table_"))
