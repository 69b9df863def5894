"""The paper's table of all cells."""

from __future__ import annotations

from flatreg import labels
from flatreg.config import runs
from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Fact, Printed
from flatreg.paper.sources import Sources

# Metric, its heading, and the format of its mean.
METRICS = (
    ("test_accuracy", "test accuracy", ".4f"),
    ("tr_h2", r"$\mathrm{tr}(H^2)$", ".3g"),
)


def table(cited: Sources) -> Printed:
    r"""A `longtable`, one row per cell in the config's order; `\cellscaption` is its caption."""
    heads = " & ".join(f"{title} (sd)" for _, title, _ in METRICS)
    head = rf"protocol & data set & $\lambda$ & $n$ & div. & {heads} & first run's key \\"
    lines: list[Printed | str] = [
        r"\begin{longtable}{@{}lllrrrrl@{}}",
        r"\caption{\cellscaption}\label{tab:cells}\\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        r"\bottomrule\endfoot",
    ]
    cells = list(dict.fromkeys(run[:3] for run in runs(cited.config)))
    for before, cell in zip([None, *cells], cells, strict=False):
        if before and before[0] != cell[0]:
            lines.append(r"\addlinespace")
        lines.append(provenance.join([provenance.join(_row(cited, cell), " & "), r" \\"]))
    return provenance.join([*lines, r"\end{longtable}", ""], "\n")


def _row(cited: Sources, cell: tuple[str, str, str]) -> list[Printed | str]:
    """Names, sizes, mean (sd) of each metric, and the key of the first run."""
    protocol, dataset, lam = cell

    def fact(metric: str, column: str) -> Fact:
        return places.of_summary(cited, *cell, metric, column)

    def written(what: str, content: Fact, text: str) -> Printed:
        return provenance.printed(f"appendix/{'/'.join(cell)}/{what}", content, text)

    row: list[Printed | str] = [
        latex.escape(protocol),
        latex.escape(labels.dataset(dataset)),
        written("lambda", places.of_lambda(cited, *cell), lam),
    ]
    for column in ("n", "diverged"):
        count = fact(METRICS[0][0], column)
        row.append(written(f"{METRICS[0][0]}/{column}", count, str(int(count.value))))
    for metric, _, pattern in METRICS:
        mean, sd = fact(metric, "mean"), fact(metric, "sd")
        value = written(f"{metric}/mean", mean, latex.number(mean.value, pattern))
        spread = written(f"{metric}/sd", sd, latex.number(sd.value, ".2g"))
        row.append(provenance.join([value, " (", spread, ")"]))
    key = places.of_key(cited, *cell)
    return [*row, provenance.join([r"\texttt{", written("key", key, key.value), "}"])]
