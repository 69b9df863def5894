"""Hold runs made here against the reference.

On the platform that made the reference, rows must agree byte for byte. Elsewhere rounding
differs, training amplifies it, and the rows must agree within the config's tolerance.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table

from flatreg import command, tables
from flatreg.config import Config, Run
from flatreg.disk.files import check_checksum, read_json
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.tables import collect

Row = dict[str, str]

# What decides the rounding of a run's arithmetic.
PLATFORM_FACTS = ("packages", "python", "machine", "processor", "processor_features", "xla_flags")

# Compared within a tolerance; what is left out only describes these (errors, counts of probes).
EXACT = ("key", "status", "data_sha256")
ACCURACIES = ("test_accuracy", "best_test_accuracy")
MAGNITUDES = ("train_loss", "test_loss", "tr_h", "tr_h2", "lambda_max", "parameter_norm")


class Comparison(NamedTuple):
    """One run held against the reference; `differing` names the columns that disagree."""

    run: Run
    reference: Row
    found: Row
    differing: list[str]


def main() -> None:
    """List the files to make, or compare them with the reference."""
    arguments = _parse()
    config = read_json(arguments.config)
    runs = verified_runs(config)
    if arguments.list:
        results = Path(config["paths"]["results"])
        print(*(path for run in runs for path in wanted(results, run)))
        return
    reference_facts = read_json(arguments.reference.parent / "facts.json")
    table = arguments.results / "tables/metrics.csv"
    folders = [run_dir(arguments.results, *run) for run in runs]
    tables.write(table, metrics(folders), tables.METRICS_TABLE)
    here = [read_json(folder / "facts.json") for folder in folders]
    strange = sorted({name for facts in here for name in differing_facts(facts, reference_facts)})
    comparisons = compare(
        runs,
        read_rows(arguments.reference),
        read_rows(table),
        None if not strange else config["verify"]["tolerance"],
    )
    report(comparisons, strange, config["verify"]["tolerance"])
    if wrong := [comparison for comparison in comparisons if comparison.differing]:
        names = ", ".join(describe(comparison.run) for comparison in wrong)
        print(
            f"error: {len(wrong)} of {len(runs)} runs differ from {arguments.reference}: {names}",
            file=sys.stderr,
        )
        sys.exit(1)


def verified_runs(config: Config) -> list[Run]:
    """The runs that the config names for this.

    Raises:
        UserError: it names none.
    """
    named = config["verify"]["runs"]
    if not named:
        raise UserError("verify.runs: names no run; add one to the config")
    return [Run(run["protocol"], run["dataset"], run["lambda"], run["seed"]) for run in named]


def wanted(results: Path, run: Run) -> tuple[Path, Path]:
    """The files that a run's row of metrics.csv is made from."""
    folder = run_dir(results, *run)
    return folder / "metrics.json", folder / "curvature.json"


def metrics(folders: list[Path]) -> pd.DataFrame:
    """The rows of metrics.csv for these runs' folders."""
    rows = [collect.metrics_row(folder) for folder in folders]
    return pd.DataFrame(rows, columns=list(tables.METRICS_TABLE.columns))


def differing_facts(here: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    """Names of the facts by which two platforms may round differently."""
    return [name for name in PLATFORM_FACTS if here[name] != reference[name]]


def read_rows(path: Path) -> dict[Run, Row]:
    """A metrics table's rows as they stand in the file, every value a string.

    Raises:
        UserError: the file is missing, was changed after it was made, or lacks a column.
    """
    try:
        check_checksum(path)
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the whole study to make it") from error
    needed = ("protocol", "dataset", "lambda", "seed", *EXACT, *ACCURACIES, *MAGNITUDES)
    if missing := [name for name in needed if name not in (reader.fieldnames or [])]:
        raise UserError(f"{path} lacks the column {missing[0]}; make it again")
    return {
        Run(row["protocol"], row["dataset"], row["lambda"], int(row["seed"])): row for row in rows
    }


def compare(
    runs: list[Run],
    reference: dict[Run, Row],
    found: dict[Run, Row],
    tolerance: dict[str, float] | None,
) -> list[Comparison]:
    """Hold each run's row against the reference's.

    Args:
        runs: which rows to compare.
        reference: rows of the reference, as strings.
        found: rows made here, as strings.
        tolerance: `accuracy` (absolute) and `relative`, or None for byte for byte.

    Raises:
        UserError: the reference has no such run, or has it with other settings.
    """
    comparisons = []
    for run in runs:
        if run not in reference:
            raise UserError(f"the reference has no {describe(run)}; run the whole study again")
        theirs, ours = reference[run], found[run]
        if theirs["key"] != ours["key"]:
            raise UserError(
                f"{describe(run)} has other settings than in the reference (key {ours['key']}, "
                f"there {theirs['key']}); undo the change of the config or run the study again"
            )
        differing = (
            [name for name in theirs | ours if theirs.get(name) != ours.get(name)]
            if tolerance is None
            else _beyond(theirs, ours, tolerance)
        )
        comparisons.append(Comparison(run, theirs, ours, differing))
    return comparisons


def _beyond(reference: Row, found: Row, tolerance: dict[str, float]) -> list[str]:
    """The columns that differ by more than is allowed."""
    accuracy, relative = tolerance["accuracy"], tolerance["relative"]
    return [
        *(name for name in EXACT if reference[name] != found[name]),
        *(n for n in ACCURACIES if not _close(reference[n], found[n], absolute=accuracy)),
        *(n for n in MAGNITUDES if not _close(reference[n], found[n], relative=relative)),
    ]


def _close(reference: str, found: str, absolute: float = 0.0, relative: float = 0.0) -> bool:
    """Whether two cells agree; an empty one (a diverged run's) agrees with an empty one only."""
    if "" in (reference, found):
        return reference == found
    return math.isclose(float(reference), float(found), rel_tol=relative, abs_tol=absolute)


def describe(run: Run) -> str:
    """A run's name in one word."""
    return f"{run.protocol}/{run.dataset}/lambda-{run.lam}/seed-{run.seed}"


def report(comparisons: list[Comparison], strange: list[str], tolerance: dict[str, float]) -> None:
    """Print how the runs were compared, and each with its verdict."""
    console = Console(highlight=False)
    table = Table("run", "test accuracy", "tr(H²)", "verdict", title="reference → here")
    for run, reference, found, differing in comparisons:
        cells = [f"{_short(reference[n])} → {_short(found[n])}" for n in ("test_accuracy", "tr_h2")]
        agreed = "within tolerance" if strange else "identical"
        verdict = f"[red]differs: {', '.join(differing)}" if differing else f"[green]{agreed}"
        table.add_row(describe(run), *cells, verdict)
    console.print(table)
    if strange:
        console.print(
            f"Another platform than the reference's ({', '.join(strange)} differ): compared "
            f"within {tolerance['accuracy']} for accuracies and {tolerance['relative']:.0%} "
            "for losses, curvature and norms."
        )
    else:
        console.print("The reference's own platform: compared byte for byte.")


def _short(value: str) -> str:
    return f"{float(value):.4g}" if value else "none"


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--reference", type=Path, help="metrics.csv, facts.json beside it")
    parser.add_argument("--results", type=Path, help="folder of the runs made here")
    parser.add_argument("--list", action="store_true", help="print the files to make, and stop")
    arguments = parser.parse_args()
    if not arguments.list and None in (arguments.reference, arguments.results):
        parser.error("give --reference and --results, or --list")
    return arguments


if __name__ == "__main__":
    command.run(main)
