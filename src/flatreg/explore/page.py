"""Write the page that shows the whole evidence."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from flatreg import command, tables
from flatreg.data.prepared import read_arrays
from flatreg.disk.files import read_json, write_checked_text
from flatreg.errors import UserError
from flatreg.explore import content
from flatreg.tables import derived
from flatreg.tables.evidence import CLAIM_RUNS_TABLE, CLAIMS_TABLE, ESTIMATES_TABLE, FLATNESS_TABLE


def main() -> None:
    """Read the tables, write the page."""
    arguments = _parse()
    runs = derived.of_runs(
        tables.read(arguments.metrics, tables.METRICS_TABLE),
        tables.read(arguments.times, tables.TIMES_TABLE),
        tables.read(arguments.estimates, ESTIMATES_TABLE),
    )
    shown = content.gather(
        read_json(arguments.config),
        runs,
        tables.read(arguments.epochs, tables.EPOCHS_TABLE),
        read_ledger(arguments.claims, arguments.claim_runs),
        tables.read(arguments.flatness, FLATNESS_TABLE),
        {path.stem: read_arrays(path) for path in arguments.surfaces},
    )
    write_checked_text(arguments.out, content.render(shown))


def read_ledger(
    claims: Path | None, claim_runs: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The claims and the runs behind them, of a study that has a ledger.

    Raises:
        UserError: one of the two is given alone, or is missing or broken.
    """
    if claims is None and claim_runs is None:
        return None
    if claims is None or claim_runs is None:
        raise UserError("--claims and --claim-runs go together; give both or none")
    return tables.read(claims, CLAIMS_TABLE), tables.read(claim_runs, CLAIM_RUNS_TABLE)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    for name in ("config", "metrics", "epochs", "times", "estimates", "flatness"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--claims", type=Path, help="claims.csv, where there is a ledger")
    parser.add_argument("--claim-runs", type=Path, help="claim_runs.csv, with it")
    parser.add_argument("--surfaces", type=Path, nargs="*", default=[], help="the .npz files")
    parser.add_out("the HTML file")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
