"""Summarize each cell: `python -m flatreg.summarize --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from flatreg import statistics, tables
from flatreg.errors import run_command
from flatreg.files import read_json


def main() -> None:
    """Write summary.csv."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.summarize", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.csv")
    parser.add_argument("--out", type=Path, required=True, help="summary.csv")
    arguments = parser.parse_args()
    alpha = read_json(arguments.config)["analysis"]["alpha"]
    metrics = tables.read(arguments.metrics, tables.METRICS_TABLE)
    tables.write(arguments.out, summarize(metrics, alpha), tables.SUMMARY_TABLE)


def summarize(metrics: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """A row a cell and metric; diverged runs are counted and left out of the mean."""
    rows = []
    for cell, runs in metrics.groupby(tables.CELL, sort=False):
        diverged = runs["status"] == tables.DIVERGED
        for metric in tables.METRICS:
            sample = runs.loc[~diverged, metric].dropna().to_numpy()
            row = dict(zip(tables.CELL, cell, strict=True))
            row |= {"metric": metric, "diverged": int(diverged.sum())}
            rows.append(row | statistics.summarize(sample, alpha)._asdict())
    return pd.DataFrame(rows)[list(tables.SUMMARY_TABLE.columns)]


if __name__ == "__main__":
    run_command(main)
