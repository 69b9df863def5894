"""Summarize each metric over the seeds of each cell."""

from __future__ import annotations

import pandas as pd

from flatreg import command, statistics, tables
from flatreg.disk.files import read_json


def main() -> None:
    """Write summary.csv."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "metrics")
    parser.add_out("summary.csv")
    arguments = parser.parse_args()
    alpha = read_json(arguments.config)["analysis"]["alpha"]
    metrics = tables.read(arguments.metrics, tables.METRICS_TABLE)
    tables.write(arguments.out, summarize(metrics, alpha), tables.SUMMARY_TABLE)


def summarize(metrics: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """One row per cell and metric; diverged runs are counted but excluded from the mean."""
    rows = []
    for cell, runs in metrics.groupby(tables.CELL, sort=False):
        diverged = runs["status"] == tables.DIVERGED
        for metric in tables.SUMMARIZED:
            sample = runs.loc[~diverged, metric].dropna().to_numpy()
            row = dict(zip(tables.CELL, cell, strict=True))
            row |= {"metric": metric, "diverged": int(diverged.sum())}
            rows.append(row | statistics.summarize(sample, alpha)._asdict())
    return pd.DataFrame(rows)[list(tables.SUMMARY_TABLE.columns)]


if __name__ == "__main__":
    command.run(main)
