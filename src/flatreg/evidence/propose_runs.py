"""Propose the number of seeds of each claim, from a pilot.

Each claim is judged on the seeds of the pilot. For one that stays undetermined, the proposal is the
smallest number of seeds that settles it with the config's power at the adjusted level of its
family, if effect and spread are as in the pilot. Put the numbers into the config, and the claims
into the ledger, before running further seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from flatreg import command, tables
from flatreg.disk.files import read_json
from flatreg.evidence import ledger
from flatreg.evidence.judge import Recorded, judge
from flatreg.evidence.ledger import Claim
from flatreg.evidence.trials import Evidence
from flatreg.tables import derived
from flatreg.tables.evidence import ESTIMATES_TABLE, REGISTERED_CLAIMS_TABLE

COLUMNS = ["claim", "protocol", "family", "n", "estimate", "low", "high", "verdict", "settles"]


def main() -> None:
    """Print one row per claim: what the pilot says, and what would settle an undetermined one."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "ledger", "schema", "metrics", "bench")
    parser.add_argument(
        "--manifests", type=Path, required=True, nargs="+", help="data/SOURCE.json of each source"
    )
    parser.add_argument("--pilot", type=int, required=True, help="seeds below this are the pilot")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    claims = ledger.read(arguments.ledger, read_json(arguments.schema), study, arguments.bench)
    runs = derived.of_runs(
        tables.read(arguments.metrics, tables.METRICS_TABLE),
        pd.DataFrame(columns=list(ESTIMATES_TABLE.columns)),
    )
    shares = derived.commonest_shares(arguments.manifests)
    pilot = runs[runs["seed"] < arguments.pilot]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table(*COLUMNS)
    proposed = propose(claims, Evidence(study, pilot, shares, arguments.bench))
    for row in proposed.itertuples(index=False):
        table.add_row(*map(_formatted, row))
    console.print(table)


def _formatted(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value or "")


def propose(claims: list[Claim], pilot: Evidence) -> pd.DataFrame:
    """The columns `COLUMNS` of CLAIMS_TABLE, one row per claim: that of its first protocol."""
    nothing = pd.DataFrame(columns=[*tables.RUN, *REGISTERED_CLAIMS_TABLE.columns])
    judged = judge(claims, pilot, Recorded({}, nothing, pilot.timed))
    return judged.loc[~judged["claim"].duplicated(), COLUMNS].reset_index(drop=True)


if __name__ == "__main__":
    command.run(main)
