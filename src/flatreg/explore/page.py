"""Write the Explore page, which shows the whole evidence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from flatreg import command, tables
from flatreg.data.prepared import read_arrays
from flatreg.disk.files import read_json, write_checked_text
from flatreg.errors import UserError
from flatreg.explore import content
from flatreg.publish.answers import (
    EQUAL_LOSS,
    Answer,
    Evidence,
    answer_all,
    read_questions,
)
from flatreg.tables import derived
from flatreg.tables.evidence import CLAIM_RUNS_TABLE, CLAIMS_TABLE, ESTIMATES_TABLE, FLATNESS_TABLE
from flatreg.tables.registry import read_named


def main() -> None:
    """Read the tables and write the page."""
    arguments = _parse()
    files = Files(**{name: getattr(arguments, name) for name in Files._fields})
    write_checked_text(arguments.out, page(files))


class Files(NamedTuple):
    """What the page shows: the study, its tables and loss surfaces.

    A study need not have a ledger, nor questions that its claims answer.
    """

    config: Path
    metrics: Path
    epochs: Path
    estimates: Path
    flatness: Path
    claims: Path | None
    claim_runs: Path | None
    equal_loss: Path | None
    questions: Path | None
    surfaces: list[Path]


def page(files: Files) -> str:
    """The page as HTML.

    Raises:
        UserError: a file is missing or broken, two tables are of different runs, or a question is
            about a claim that the study lacks.
    """
    metrics = tables.read(files.metrics, tables.METRICS_TABLE)
    ledger = read_ledger(files.claims, files.claim_runs)
    runs = derived.of_runs(
        metrics,
        tables.read(files.estimates, ESTIMATES_TABLE),
    )
    evidence = content.gather(
        read_json(files.config),
        runs,
        tables.read(files.epochs, tables.EPOCHS_TABLE),
        ledger,
        tables.read(files.flatness, FLATNESS_TABLE),
        {path.stem: read_arrays(path) for path in files.surfaces},
        _answered(files, ledger, metrics),
    )
    return content.render(evidence)


def _answered(
    files: Files, ledger: tuple[pd.DataFrame, pd.DataFrame] | None, metrics: pd.DataFrame
) -> list[Answer]:
    """The short answer; empty without a ledger or without questions."""
    if ledger is None or files.questions is None:
        return []
    at_equal_loss = files.equal_loss and read_named(files.equal_loss, EQUAL_LOSS)
    evidence = Evidence(*ledger, metrics, at_equal_loss)
    return answer_all(read_questions(files.questions), evidence)


def read_ledger(
    claims: Path | None, claim_runs: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Read the claims and the runs behind them; None if the study has no ledger.

    Raises:
        UserError: only one of the two is given, or a file is missing or broken.
    """
    if claims is None and claim_runs is None:
        return None
    if claims is None or claim_runs is None:
        raise UserError("--claims and --claim-runs need each other; give both or neither")
    return tables.read(claims, CLAIMS_TABLE), tables.read(claim_runs, CLAIM_RUNS_TABLE)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    for name in ("config", "metrics", "epochs", "estimates", "flatness"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--claims", type=Path, help="claims.csv, if the study has a ledger")
    parser.add_argument("--claim-runs", type=Path, help="claim_runs.csv, together with --claims")
    parser.add_argument("--questions", type=Path, help="of the short answer (YAML)")
    parser.add_argument("--equal-loss", type=Path, help="equal_loss.csv, if questions need it")
    parser.add_argument("--surfaces", type=Path, nargs="*", default=[], help="the .npz files")
    parser.add_out("the HTML file")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
