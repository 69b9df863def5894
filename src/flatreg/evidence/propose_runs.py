"""Propose the number of seeds of each claim, from a pilot.

The proposal is the smallest number of seeds whose equivalence test has the config's power if there
is no effect. It uses the claim's margin, the standard deviation over the pilot's seeds, and the
strictest level of Holm's adjustment over the ledger. Put the numbers into the config before
running further seeds.
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
    """Print one row per claim: seeds and spread of the pilot, and the proposed number of seeds."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "ledger", "schema", "metrics")
    parser.add_argument("--pilot", type=int, required=True, help="seeds below this are the pilot")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    claims = ledger.read(arguments.ledger, read_json(arguments.schema), study)
    runs = derived.of_runs(
        tables.read(arguments.metrics, tables.METRICS_TABLE),
        pd.DataFrame(columns=list(ESTIMATES_TABLE.columns)),
    )
    levels = Levels(study["analysis"]["alpha"], study["analysis"]["power"])
    proposed = propose(claims, runs[runs["seed"] < arguments.pilot], levels)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table("claim", "protocol", "pilot", "sd", "margin", "proposed")
    for row in proposed.itertuples(index=False):
        table.add_row(*map(_formatted, row))
    console.print(table)


def _formatted(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def propose(claims: list[Claim], pilot: pd.DataFrame, levels: Levels) -> pd.DataFrame:
    """One row per claim, with columns claim, protocol, pilot, sd, margin, proposed.

    `pilot` and `proposed` are numbers of seeds; `sd` and `margin` are on the scale of the test.
    Claims about spreads, and claims whose pilot does not vary, have no row.
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
            proposed = statistics.propose_runs(float(sd), margin, alpha, levels.power)
            rows.append((claim.name, protocol, n, float(sd), float(margin), proposed))
    return pd.DataFrame(rows, columns=["claim", "protocol", "pilot", "sd", "margin", "proposed"])


if __name__ == "__main__":
    command.run(main)
