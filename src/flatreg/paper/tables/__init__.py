"""The paper's tables, each with the provenance of its numbers.

To add a table, add a module with `table(cited) -> Printed` to this folder and a line to `TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

# The modules of the tables of the whole study, by the names in main.tex. The module `results` makes
# one more table per data set, table_DATASET.
TABLES = {
    "ledger": "ledger",
    "table_variance": "variance",
    "table_forensics": "forensics",
    "table_budget": "budget",
    "appendix": "cells",
}
OF_DATASET = "DATASET"


def table_module(name: str) -> str:
    """The module of this folder that makes a table."""
    return TABLES.get(name, "results")


def table_function(name: str) -> Callable[[Any], Any]:
    """The function that makes a table from everything that the paper may cite."""
    table = import_module(f"flatreg.paper.tables.{table_module(name)}").table
    return table if name in TABLES else partial(table, dataset=name.removeprefix("table_"))
