"""Everything that the paper may cite, read once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from flatreg import tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.tables import registry

FLAGS = ("config", "metrics", "summary", "tests", "times", "original", "bench", "frontier")
# Tables of the evidence that may be cited; a study may do without some.
EVIDENCE = {n: t for n, t in registry.EVIDENCE.items() if n not in registry.WORKINGS}


class Sources(NamedTuple):
    """The result tables, the study that they belong to, and the original's numbers.

    Attributes:
        config: the completed config.
        metrics: one row per run.
        summary: one row per cell and metric, by (protocol, dataset, lambda, metric).
        tests: likewise, for every lambda above 0.
        times: seconds of each run.
        manifests: manifests by source.
        original: rows by lambda, by data set.
        bench: results of `make bench`.
        frontier: results of `make frontier`.
        evidence: those tables of `EVIDENCE` that the study has, by name.
        paths: path of each file, by flag; of a manifest, by source.
    """

    config: dict[str, Any]
    metrics: pd.DataFrame
    summary: pd.DataFrame
    tests: pd.DataFrame
    times: pd.DataFrame
    manifests: dict[str, dict[str, Any]]
    original: dict[str, dict[str, dict[str, float]]]
    bench: dict[str, Any]
    frontier: dict[str, Any]
    evidence: dict[str, pd.DataFrame]
    paths: dict[str, Path]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the files that `read` reads."""
    for flag in FLAGS:
        parser.add_argument(f"--{flag}", type=Path, required=True)
    parser.add_argument("--manifests", type=Path, required=True, nargs="+")
    for name in EVIDENCE:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help=f"{name}.csv")


def read(arguments: argparse.Namespace) -> Sources:
    """Read all files that the flags of `add_flags` name.

    Raises:
        UserError: a file is missing or broken.
    """
    by_metric = [*tables.CELL, "metric"]
    flags = {name: getattr(arguments, name) for name in [*FLAGS, *EVIDENCE]}
    paths = {name: path for name, path in flags.items() if path is not None}
    manifests = {m["source"]: (path, m) for path in arguments.manifests for m in [read_json(path)]}
    original = read_json(arguments.original)["results"]
    summary = tables.read(arguments.summary, tables.SUMMARY_TABLE)
    tests = tables.read(arguments.tests, tables.TESTS_TABLE)
    return Sources(
        config=read_json(arguments.config),
        metrics=tables.read(arguments.metrics, tables.METRICS_TABLE),
        summary=summary.set_index(by_metric).sort_index(),
        tests=tests.set_index(by_metric).sort_index(),
        times=tables.read(arguments.times, tables.TIMES_TABLE),
        manifests={source: manifest for source, (_, manifest) in manifests.items()},
        original={name: {row["lambda"]: row for row in rows} for name, rows in original.items()},
        bench=read_json(arguments.bench),
        frontier=read_json(arguments.frontier),
        evidence={n: tables.read(paths[n], table) for n, table in EVIDENCE.items() if n in paths},
        paths=paths | {source: path for source, (path, _) in manifests.items()},
    )


def lookup(table: pd.DataFrame, place: tuple[str, ...]) -> Any:
    """The row at one place of a table.

    Raises:
        UserError: the place does not exist.
    """
    try:
        return table.loc[place]
    except KeyError as error:
        raise UserError(f"the results have nothing at {'/'.join(place)}") from error
