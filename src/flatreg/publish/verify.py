"""Compare runs made here with the reference.

On the platform that made the reference, rows must agree byte for byte. On other platforms rounding
differs and training amplifies it, so rows must agree within the config's tolerance.
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

# Facts that determine how a run's arithmetic rounds.
PLATFORM_FACTS = (
    *("packages", "python", "machine", "processor", "processor_features", "xla_flags"),
    *("device", "other_libraries"),
)

# The columns compared across platforms: exactly, within an absolute and within a relative
# tolerance. The others only describe these (standard errors, numbers of probes).
EXACT = ("key", "status", "data_sha256")
ACCURACIES = ("test_accuracy", "best_test_accuracy", "last_test_accuracy")
MAGNITUDES = (
    *("train_loss", "test_loss", "tr_h", "tr_h2", "lambda_max", "parameter_norm"),
    *("last_train_loss", "last_test_loss", "last_tr_h2", "last_lambda_max"),
)


class Comparison(NamedTuple):
    """One run's rows in the reference and here; `differing` names the columns that disagree."""

    run: Run
    reference: Row
    here: Row
    differing: list[str]


def main() -> None:
    """List the files to make, or compare the runs with the reference."""
    arguments = _parse()
    study = read_json(arguments.config)
    runs = verified_runs(study)
    if arguments.list:
        results = Path(study["paths"]["results"])
        print(*(path for run in runs for path in wanted(results, run)))
        return
    reference_facts = read_json(arguments.reference.parent / "facts.json")
    table = arguments.results / "tables/metrics.csv"
    folders = [run_dir(arguments.results, *run) for run in runs]
    tables.write(table, metrics(folders), tables.METRICS_TABLE)
    run_facts = [read_json(folder / "facts.json") for folder in folders]
    differing = sorted(
        {name for facts in run_facts for name in differing_facts(facts, reference_facts)}
    )
    comparisons = compare(
        runs,
        read_rows(arguments.reference),
        read_rows(table),
        study["verify"]["tolerance"] if differing else None,
    )
    report(comparisons, differing, study["verify"]["tolerance"])
    if wrong := [comparison for comparison in comparisons if comparison.differing]:
        names = ", ".join(describe(comparison.run) for comparison in wrong)
        print(
            f"error: {len(wrong)} of {len(runs)} runs differ from {arguments.reference}: {names}",
            file=sys.stderr,
        )
        sys.exit(1)


def verified_runs(study: Config) -> list[Run]:
    """The runs that the config names to be compared.

    Raises:
        UserError: the config names none.
    """
    entries = study["verify"]["runs"]
    if not entries:
        raise UserError("verify.runs: names no run; add one to the config")
    return [Run(run["protocol"], run["dataset"], run["lambda"], run["seed"]) for run in entries]


def wanted(results: Path, run: Run) -> tuple[Path, Path]:
    """The files from which a run's row of metrics.csv is built."""
    folder = run_dir(results, *run)
    return folder / "metrics.json", folder / "curvature.json"


def metrics(folders: list[Path]) -> pd.DataFrame:
    """The rows of metrics.csv for these runs' folders."""
    rows = [collect.metrics_row(folder) for folder in folders]
    return pd.DataFrame(rows, columns=list(tables.METRICS_TABLE.columns))


def differing_facts(here: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    """Names of the facts in which two platforms differ and that affect rounding."""
    return [name for name in PLATFORM_FACTS if here[name] != reference.get(name, [])]


def read_rows(path: Path) -> dict[Run, Row]:
    """A metrics table's rows as written in the file, every value a string.

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
    here: dict[Run, Row],
    tolerance: dict[str, float] | None,
) -> list[Comparison]:
    """Compare each run's row with that of the reference.

    Args:
        runs: the runs to compare.
        reference: rows of the reference, as strings.
        here: rows made here, as strings.
        tolerance: `accuracy` (absolute) and `relative`; None to compare byte for byte.

    Raises:
        UserError: the reference lacks a run, or has it with other settings.
    """
    comparisons = []
    for run in runs:
        if run not in reference:
            raise UserError(f"the reference has no {describe(run)}; run the whole study again")
        theirs, ours = reference[run], here[run]
        if theirs["key"] != ours["key"]:
            raise UserError(
                f"{describe(run)} has other settings than the reference (key {ours['key']}, not "
                f"{theirs['key']}); undo the change of the config, or run the study again"
            )
        differing = (
            [name for name in theirs | ours if theirs.get(name) != ours.get(name)]
            if tolerance is None
            else _beyond(theirs, ours, tolerance)
        )
        comparisons.append(Comparison(run, theirs, ours, differing))
    return comparisons


def _beyond(reference: Row, here: Row, tolerance: dict[str, float]) -> list[str]:
    """The columns that differ by more than the tolerance."""
    accuracy, relative = tolerance["accuracy"], tolerance["relative"]
    return [
        *(name for name in EXACT if reference[name] != here[name]),
        *(n for n in ACCURACIES if not _close(reference[n], here[n], absolute=accuracy)),
        *(n for n in MAGNITUDES if not _close(reference[n], here[n], relative=relative)),
    ]


def _close(reference: str, here: str, absolute: float = 0.0, relative: float = 0.0) -> bool:
    """Whether two values agree; an empty one (of a diverged run) agrees only with an empty one."""
    if "" in (reference, here):
        return reference == here
    return math.isclose(float(reference), float(here), rel_tol=relative, abs_tol=absolute)


def describe(run: Run) -> str:
    """A run's name without spaces."""
    return f"{run.protocol}/{run.dataset}/lambda-{run.lam}/seed-{run.seed}"


def report(comparisons: list[Comparison], facts: list[str], tolerance: dict[str, float]) -> None:
    """Print each run with its verdict, and how the runs were compared.

    Args:
        comparisons: of `compare`.
        facts: the facts in which this platform differs from the reference's.
        tolerance: as in `compare`.
    """
    console = Console(highlight=False)
    table = Table("run", "test accuracy", "tr(H²)", "verdict", title="reference → here")
    for run, reference, here, differing in comparisons:
        cells = [f"{_short(reference[n])} → {_short(here[n])}" for n in ("test_accuracy", "tr_h2")]
        agreed = "within tolerance" if facts else "identical"
        verdict = f"[red]differs: {', '.join(differing)}" if differing else f"[green]{agreed}"
        table.add_row(describe(run), *cells, verdict)
    console.print(table)
    if facts:
        console.print(
            f"Another platform than the reference's ({', '.join(facts)} differ): compared "
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
