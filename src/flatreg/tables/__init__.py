"""The study's tables: columns with units, and checking, reading and writing."""

from flatreg.disk.statuses import DIVERGED, STATUSES
from flatreg.tables.results import (
    CELL,
    EPOCHS_TABLE,
    METRICS,
    METRICS_TABLE,
    RESULTS,
    RUN,
    SUMMARIZED,
    SUMMARY_TABLE,
    TESTS_TABLE,
    TIMES_TABLE,
)
from flatreg.tables.schema import check, read, write

__all__ = [
    "CELL",
    "DIVERGED",
    "EPOCHS_TABLE",
    "METRICS",
    "METRICS_TABLE",
    "RESULTS",
    "RUN",
    "STATUSES",
    "SUMMARIZED",
    "SUMMARY_TABLE",
    "TESTS_TABLE",
    "TIMES_TABLE",
    "check",
    "read",
    "write",
]
