"""Write the README's result tables from the reference: `python -m flatreg.readme --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from flatreg import labels, tables
from flatreg.errors import UserError, run_command
from flatreg.files import write_text

BEGIN = "<!-- results: written by `python -m flatreg.readme`; do not edit -->"
END = "<!-- end of results -->"

# What is shown, with its title and how a number is written.
SHOWN = (
    ("test_accuracy", "Test accuracy (share of test examples right)", ".4f"),
    ("tr_h2", "tr(H²) on training examples (lower is flatter)", ".3g"),
)


def main() -> None:
    """Rewrite what stands between the README's markers."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.readme", description=__doc__)
    parser.add_argument("--summary", type=Path, required=True, help="summary.csv")
    parser.add_argument("--readme", type=Path, required=True, help="the file to rewrite")
    arguments = parser.parse_args()
    summary = tables.read(arguments.summary, tables.SUMMARY_TABLE)
    text = arguments.readme.read_text(encoding="utf-8")
    write_text(arguments.readme, with_results(text, results(summary)))


def with_results(text: str, shown: str) -> str:
    """`text` with what stands between the markers replaced.

    Raises:
        UserError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"the README lacks the line {END if begin else BEGIN}; put it back")
    return f"{before}{BEGIN}\n\n{shown}\n{END}{after}"


def results(summary: pd.DataFrame) -> str:
    """One Markdown table a metric: a row a protocol and data set, a column a lambda."""
    return "\n".join(
        f"**{title}**\n\n{_table(summary[summary['metric'] == metric], written)}"
        for metric, title, written in SHOWN
    )


def _table(cells: pd.DataFrame, written: str) -> str:
    lambdas = sorted(cells["lambda"].unique(), key=float)
    lines = [
        "| protocol | data set | seeds | " + " | ".join(f"λ = {lam}" for lam in lambdas) + " |",
        "| --- " * (3 + len(lambdas)) + "|",
    ]
    for (protocol, dataset), row in cells.groupby(["protocol", "dataset"], sort=False):
        by_lambda = {cell["lambda"]: cell for _, cell in row.iterrows()}
        values = [_value(by_lambda.get(lam), written) for lam in lambdas]
        seeds = (row["n"] + row["diverged"]).max()
        head = [protocol, labels.dataset(dataset), str(seeds)]
        lines.append("| " + " | ".join([*head, *values]) + " |")
    return "\n".join(lines) + "\n"


def _value(cell: pd.Series | None, written: str) -> str:
    """A cell's mean and spread, and how many of its runs diverged; empty for no such cell."""
    if cell is None:
        return ""
    shown = "" if pd.isna(cell["mean"]) else format(cell["mean"], written)
    if pd.notna(cell["sd"]):
        shown += f" ± {cell['sd']:{written if written.endswith('f') else '.2g'}}"
    diverged = f"†{cell['diverged']}" if cell["diverged"] else ""
    return f"{shown} {diverged}".strip() or "none"


if __name__ == "__main__":
    run_command(main)
