"""Write the README's tables from what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from flatreg import command, labels, tables
from flatreg.disk.files import read_json, write_text
from flatreg.errors import UserError
from flatreg.publish import stages
from flatreg.tables.evidence import CLAIMS_TABLE, VERDICTS

# What is shown, with its title and how a number is written.
SHOWN = (
    ("test_accuracy", "Test accuracy (share of test examples right)", ".4f"),
    ("tr_h2", "tr(H²) on training examples (lower is flatter)", ".3g"),
)


def main() -> None:
    """Rewrite what stands between the README's markers."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument("--claims", type=Path, help="claims.csv, for the ledger")
    parser.add_argument("--summary", type=Path, help="summary.csv, for the results")
    parser.add_argument("--protocols", nargs="+", help="of the results; all, if not given")
    parser.add_argument("--stages", type=Path, help="stages.csv, for the times")
    parser.add_argument("--bench", type=Path, help="bench/results/cost.json, for the cost")
    parser.add_argument("--readme", type=Path, required=True, help="the file to rewrite")
    arguments = parser.parse_args()
    if not (arguments.claims or arguments.summary or arguments.stages or arguments.bench):
        raise UserError("there is nothing to write; give --claims, --summary, --stages or --bench")
    text = arguments.readme.read_text(encoding="utf-8")
    if arguments.claims:
        text = with_block(text, "claims", claims(tables.read(arguments.claims, CLAIMS_TABLE)))
    if arguments.summary:
        summary = tables.read(arguments.summary, tables.SUMMARY_TABLE)
        text = with_block(text, "results", results(of_protocols(summary, arguments.protocols)))
    if arguments.stages:
        times = tables.read(arguments.stages, stages.TABLE)
        text = with_block(text, "stages", stages.markdown(times))
    if arguments.bench:
        text = with_block(text, "cost", cost(read_json(arguments.bench)))
    write_text(arguments.readme, text)


def markers(name: str) -> tuple[str, str]:
    """The lines between which a block stands."""
    begin = f"<!-- {name}: written by `python -m flatreg.readme`; do not edit -->"
    return begin, f"<!-- end of {name} -->"


def with_block(text: str, name: str, shown: str) -> str:
    """`text` with what stands between the markers replaced.

    Raises:
        UserError: a marker is missing.
    """
    begin, end = markers(name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UserError(f"the README lacks the line {end if found else begin}; put it back")
    return f"{before}{begin}\n\n{shown}\n{end}{after}"


def claims(ledger: pd.DataFrame) -> str:
    """A row a claim by the protocol that decides, verdicts counted above.

    Args:
        ledger: of CLAIMS_TABLE.
    """
    deciding = ledger.drop_duplicates("claim")
    counts = deciding["verdict"].value_counts()
    tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    rows = [
        f"| {row['statement']} | {_estimate(row)} | **{row['verdict']}** |"
        for _, row in deciding.iterrows()
    ]
    head = ["| the original says | we find [95 % interval] | verdict |", "| --- | --- | --- |"]
    return "\n".join([f"{len(deciding)} claims: {tally}.", "", *head, *rows]) + "\n"


def _estimate(row: pd.Series) -> str:
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return f"{row['comparison']}: {row['estimate']:.3g}{interval}"


def cost(bench: dict[str, Any]) -> str:
    """A row a way to get the penalty, a column a network: the penalty in each step / every 10th."""
    networks = bench["networks"]
    ways = dict.fromkeys(way for found in networks.values() for way in found["ways"])
    head = ["", *map(labels.dataset, networks), "working memory, CIFAR-100"]
    lines = [" | ".join(["", *head, ""]).strip(), "| --- " * len(head) + "|"]
    for way in ways:
        if way.endswith("plain"):
            continue
        cells = [_ratios(found["ways"].get(way)) for found in networks.values()]
        memory = networks["cifar100"]["working_bytes"].get(way)
        cells.append("" if memory is None else f"{memory / 1e6:.0f} MB")
        lines.append("| " + " | ".join([way, *cells]) + " |")
    facts = bench["facts"]
    versions = ", ".join(
        f"{name} {facts['packages'][name]}" for name in ("jax", "optax", "matfree")
    )
    return "\n".join(lines) + (
        f"\n\n{facts['processor']}, {facts['threads']} threads, {versions};"
        f" commit {facts['commit'][:10]}.\n"
    )


def _ratios(found: dict[str, float] | None) -> str:
    return "" if found is None else f"{found['ratio']:.2f} / {found['ratio_interval']:.2f}"


def of_protocols(summary: pd.DataFrame, names: list[str] | None) -> pd.DataFrame:
    """The rows of these protocols; all, if none is named.

    Raises:
        UserError: one of them has no rows.
    """
    known = list(dict.fromkeys(summary["protocol"]))
    for name in names or []:
        if name not in known:
            raise UserError(f"--protocols {name}: the summary has {', '.join(known)}; name these")
    return summary[summary["protocol"].isin(names or known)]


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
    command.run(main)
