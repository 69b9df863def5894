"""How many seeds each claim needs, from a pilot.

The rule: the fewest that show, at the config's power, that there is no effect of the claim's
margin, were there none, with the spread of the pilot's seeds and at the level that the first of
Holm's steps over the ledger has. The numbers go into the config before further seeds are run.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from flatreg import command, statistics, tables
from flatreg.disk.files import read_json
from flatreg.evidence import ledger
from flatreg.evidence.ledger import Claim
from flatreg.evidence.trials import Levels, margin_of, samples_of
from flatreg.tables import derived
from flatreg.tables.evidence import ESTIMATES_TABLE


def main() -> None:
    """Print a row a claim: the pilot's seeds and spread, and how many are proposed."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "ledger", "schema", "metrics", "times")
    parser.add_argument("--pilot", type=int, required=True, help="seeds below this are the pilot")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    claims = ledger.read(arguments.ledger, read_json(arguments.schema), study)
    runs = derived.of_runs(
        tables.read(arguments.metrics, tables.METRICS_TABLE),
        tables.read(arguments.times, tables.TIMES_TABLE),
        pd.DataFrame(columns=list(ESTIMATES_TABLE.columns)),
    )
    levels = Levels(study["analysis"]["alpha"], study["analysis"]["power"])
    proposed = propose(claims, runs[runs["seed"] < arguments.pilot], levels)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table("claim", "protocol", "pilot", "sd", "margin", "proposed")
    for row in proposed.itertuples(index=False):
        table.add_row(
            *(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row)
        )
    console.print(table)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def propose(claims: list[Claim], pilot: pd.DataFrame, levels: Levels) -> pd.DataFrame:
    """Columns claim, protocol, pilot (seeds), sd and margin (on the test's scale), proposed.

    Two spreads, and a claim whose pilot does not vary, have no row.
    """
    alpha = levels.alpha / (2 * len(claims))
    rows = []
    for claim in claims:
        if claim.test == "spread":
            continue
        protocol = claim.protocols[0]
        samples = [sample.values for sample in samples_of(claim, protocol, pilot)]
        spreads = [(np.std(v, ddof=1), len(v)) for v in samples if len(v) > 1]
        sd, n = max(spreads, default=(0.0, 0))
        if sd > 0:
            margin = margin_of(claim)
            wanted = statistics.propose_runs(float(sd), margin, alpha, levels.power)
            rows.append((claim.name, protocol, n, float(sd), float(margin), wanted))
    return pd.DataFrame(rows, columns=["claim", "protocol", "pilot", "sd", "margin", "proposed"])


if __name__ == "__main__":
    command.run(main)
