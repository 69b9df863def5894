"""The paper's table of the spread by cause of randomness."""

from __future__ import annotations

from flatreg import labels
from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Printed
from flatreg.paper.sources import Sources

# Metrics, and the formats of their standard deviations.
METRICS = (("test_accuracy", "test accuracy", ".4f"), ("tr_h2", r"$\mathrm{tr}(H^2)$", ".2g"))


def table(found: Sources) -> Printed:
    """A `tabular` with one row per data set and cause of randomness, two columns per metric."""
    rows = found.evidence["variance"]
    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{title}}}" for _, title, _ in METRICS)
    lines: list[Printed | str] = [
        r"\begin{tabular}{@{}lll" + "rr" * len(METRICS) + "@{}}",
        r"\toprule",
        rf"data set & what varies & $n$ & {heads} \\",
        " & & " + r" & sd & share" * len(METRICS) + r" \\",
        r"\midrule",
    ]
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        for number, source in enumerate(dict.fromkeys(of_dataset["source"])):
            name = latex.escape(labels.dataset(dataset)) if number == 0 else ""
            cells = [name, latex.escape(source.replace("_", " ")), _size(found, dataset, source)]
            for metric, _, pattern in METRICS:
                cells += [
                    _cell(found, dataset, metric, source, "sd", pattern),
                    _cell(found, dataset, metric, source, "share", ".2f"),
                ]
            lines.append(provenance.join([provenance.join(cells, " & "), r" \\"]))
        lines.append(_sampling(found, dataset))
    return provenance.join([*lines, r"\bottomrule", r"\end{tabular}", ""], "\n")


def _size(found: Sources, dataset: str, source: str) -> Printed:
    return _cell(found, dataset, METRICS[0][0], source, "n", ".0f")


def _sampling(found: Sources, dataset: str) -> Printed:
    """The uncertainty from the size of the test set, for comparison with the seeds."""
    sd = _cell(found, dataset, "test_accuracy", "all", "sampling_sd", ".4f")
    return provenance.join([r" & \emph{test set of that size} & & ", sd, r" & & & \\"])


def _cell(
    found: Sources, dataset: str, metric: str, source: str, column: str, pattern: str
) -> Printed:
    fact = places.of_variance(found, dataset, metric, source, column)
    name = f"table_variance/{dataset}/{metric}/{source}/{column}"
    value = None if fact.value is None else float(fact.value)
    return provenance.printed(name, fact, latex.number(value, pattern))
