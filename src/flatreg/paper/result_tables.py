"""The paper's result tables, one a data set: `python -m flatreg.paper.result_tables --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

from flatreg.config import BASELINE
from flatreg.errors import run_command
from flatreg.files import write_text
from flatreg.paper import evidence, latex
from flatreg.paper.evidence import Evidence, lookup

# Metric, what the table calls it, the original's column, and how a value is written.
BLOCKS = (
    ("test_accuracy", "Test accuracy", "test_accuracy", ".4f"),
    ("best_test_accuracy", "Best test accuracy over the epochs", "best_test_accuracy", ".4f"),
    ("tr_h2", r"Flatness $\mathrm{tr}(H^2)$ after training", "tr_h2", ".3g"),
)


def main() -> None:
    """Write the table of one data set."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.paper.result_tables")
    evidence.add_flags(parser)
    parser.add_argument("--dataset", required=True, help="as the config names it")
    parser.add_argument("--out", type=Path, required=True, help="the table (.tex)")
    arguments = parser.parse_args()
    write_text(arguments.out, table(arguments.dataset, evidence.read(arguments)))


def table(dataset: str, found: Evidence) -> str:
    """A `tabular`: a row a lambda and metric; the original, then each protocol beside it."""
    protocols = [n for n, p in found.config["protocols"].items() if dataset in p["datasets"]]
    entries = [found.config["protocols"][n]["datasets"][dataset] for n in protocols]
    lambdas = list(dict.fromkeys(lam for entry in entries for lam in entry["lambdas"]))
    width = 2 + 4 * len(protocols)
    spans = "".join(rf" \cmidrule(lr){{{3 + 4 * i}-{6 + 4 * i}}}" for i in range(len(protocols)))
    heads = "".join(rf" & \multicolumn{{4}}{{c}}{{ours, {latex.escape(n)}}}" for n in protocols)
    columns = r" & mean (sd) & $\Delta$ & $p$ & $n$" * len(protocols)
    lines = [
        rf"\begin{{tabular}}{{@{{}}ll{'rrrr' * len(protocols)}@{{}}}}",
        r"\toprule",
        rf"$\lambda$ & original{heads} \\{spans}",
        rf"&{columns} \\",
    ]
    for metric, title, column, pattern in BLOCKS:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{title}}}}} \\"]
        for lam in lambdas:
            cells = [lam, _original(found, dataset, lam, column, pattern)]
            for protocol in protocols:
                cells += _cells(found, (protocol, dataset, lam, metric), pattern)
            lines.append(" & ".join(cells) + r" \\")
    lines += [
        r"\midrule",
        rf"\multicolumn{{{width}}}{{@{{}}l}}"
        r"{\emph{Time of training over that of $\lambda=0$}} \\",
    ]
    for lam in lambdas:
        if lam != BASELINE:
            cells = [lam, _original_ratio(found, dataset, lam)]
            for protocol in protocols:
                cells += [_ratio(found, (protocol, dataset, lam)), "", "", ""]
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cells(found: Evidence, place: tuple[str, str, str, str], pattern: str) -> list[str]:
    """Mean (sd), difference to lambda 0, adjusted p, and n with a dagger for what diverged."""
    if place[:3] not in found.summary.index.droplevel("metric"):
        return [latex.MISSING] * 4
    summary = lookup(found.summary, place)
    mean = latex.number(summary["mean"], pattern)
    if summary["n"] > 1:
        mean += f" ({latex.number(summary['sd'], '.2g')})"
    diverged = rf"$^{{\dagger{int(summary['diverged'])}}}$" if summary["diverged"] else ""
    size = f"{int(summary['n'])}{diverged}"
    if place[2] == BASELINE:
        return [mean, "", "", size]
    test = lookup(found.tests, place)
    signed = pattern if pattern == ".3g" else f"+{pattern}"
    return [
        mean,
        latex.number(test["difference"], signed),
        latex.p_value(test["welch_p_holm"]),
        size,
    ]


def _original(found: Evidence, dataset: str, lam: str, column: str, pattern: str) -> str:
    value = found.original.get(dataset, {}).get(lam, {}).get(column)
    return latex.number(value, pattern)


def _original_ratio(found: Evidence, dataset: str, lam: str) -> str:
    rows = found.original.get(dataset, {})
    if lam not in rows:
        return latex.MISSING
    return latex.number(rows[lam]["seconds"] / rows[BASELINE]["seconds"], ".1f")


def _ratio(found: Evidence, place: tuple[str, str, str]) -> str:
    return latex.number(found.ratios.get(place), ".2f")


if __name__ == "__main__":
    run_command(main)
