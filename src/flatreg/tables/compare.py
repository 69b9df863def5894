"""Test each lambda above 0 against lambda 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from flatreg import command, statistics, tables
from flatreg.config import BASELINE
from flatreg.disk.files import read_json


def main() -> None:
    """Write tests.csv."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "metrics")
    parser.add_out("tests.csv")
    arguments = parser.parse_args()
    analysis = read_json(arguments.config)["analysis"]
    metrics = tables.read(arguments.metrics, tables.METRICS_TABLE)
    tests = compare(metrics, analysis["alpha"], analysis["power"])
    tables.write(arguments.out, tests, tables.TESTS_TABLE)


def compare(metrics: pd.DataFrame, alpha: float, power: float) -> pd.DataFrame:
    """One row per cell and metric, for every lambda above 0.

    Holm's adjustment is over the lambdas above 0 of one protocol, data set and metric.
    """
    rows = []
    for _, runs in metrics.groupby(["protocol", "dataset"], sort=False):
        baseline = runs[runs["lambda"] == BASELINE]
        treated = runs[runs["lambda"] != BASELINE]
        if baseline.empty:
            continue  # a protocol without lambda 0 extends another and is compared with that one
        cells = [Cell.of(cell) for _, cell in treated.groupby("lambda", sort=False)]
        plain = Cell.of(baseline)
        for metric in tables.METRICS:
            family = [_row(metric, cell, plain, alpha, power) for cell in cells]
            adjusted = statistics.holm(np.array([r["welch_p"] for r in family], dtype=float))
            rows += [r | {"welch_p_holm": p} for r, p in zip(family, adjusted, strict=True)]
    return pd.DataFrame(rows, columns=list(tables.TESTS_TABLE.columns))


class Cell(NamedTuple):
    """The runs of one cell.

    Attributes:
        name: values of `tables.CELL`.
        diverged: number of runs that diverged.
        metrics: of the other runs, indexed by seed.
    """

    name: dict[str, str]
    diverged: int
    metrics: pd.DataFrame

    @classmethod
    def of(cls, runs: pd.DataFrame) -> Cell:
        """The cell of these rows of metrics.csv."""
        diverged = runs["status"] == tables.DIVERGED
        finished = runs[~diverged].set_index("seed")[list(tables.METRICS)]
        name = {column: runs[column].iloc[0] for column in tables.CELL}
        return cls(name, int(diverged.sum()), finished)


def _row(metric: str, cell: Cell, baseline: Cell, alpha: float, power: float) -> dict[str, object]:
    treated_values, baseline_values = (side.metrics[metric].dropna() for side in (cell, baseline))
    shared = treated_values.index.intersection(baseline_values.index)
    pairs = (treated_values[shared].to_numpy(), baseline_values[shared].to_numpy())
    n, m = len(treated_values), len(baseline_values)
    return {
        **cell.name,
        "metric": metric,
        "n": n,
        "n_baseline": m,
        "n_pairs": len(shared),
        "diverged": cell.diverged,
        "diverged_baseline": baseline.diverged,
        "detectable": statistics.detectable_effect(n, m, alpha, power),
        **statistics.compare(
            treated_values.to_numpy(), baseline_values.to_numpy(), pairs, alpha
        )._asdict(),
    }


if __name__ == "__main__":
    command.run(main)
