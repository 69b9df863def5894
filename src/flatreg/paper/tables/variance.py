"""The paper's table of the spread by cause of randomness."""

from __future__ import annotations

from flatreg import labels
from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Printed
from flatreg.paper.sources import Sources

# Metrics, and the formats of their standard deviations.
METRICS = (("test_accuracy", "test accuracy", ".4f"), ("tr_h2", r"$\mathrm{tr}(H^2)$", ".2g"))


def table(cited: Sources) -> Printed:
    """A `tabular` with one row per data set and cause of randomness, two columns per metric."""
    rows = cited.evidence["variance"]
    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{title}}}" for _, title, _ in METRICS)
    lines: list[Printed | str] = [
        r"\begin{tabular}{@{}lll" + "rr" * len(METRICS) + "@{}}",
        r"\toprule",
        rf"data set & what varies & $n$ & {heads} \\",
        " & & " + r" & sd & share" * len(METRICS) + r" \\",
        r"\midrule",
    ]
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        for number, cause in enumerate(dict.fromkeys(of_dataset["source"])):
            name = latex.escape(labels.dataset(dataset)) if number == 0 else ""
            cells = [name, latex.escape(cause.replace("_", " ")), _size(cited, dataset, cause)]
            for metric, _, pattern in METRICS:
                cells += [
                    _cell(cited, dataset, metric, cause, "sd", pattern),
                    _cell(cited, dataset, metric, cause, "share", ".2f"),
                ]
            lines.append(provenance.join([provenance.join(cells, " & "), r" \\"]))
        lines.append(_sampling(cited, dataset))
    return provenance.join([*lines, r"\bottomrule", r"\end{tabular}", ""], "\n")


def _size(cited: Sources, dataset: str, cause: str) -> Printed:
    return _cell(cited, dataset, METRICS[0][0], cause, "n", ".0f")


def _sampling(cited: Sources, dataset: str) -> Printed:
    """The uncertainty from the size of the test set, for comparison with the seeds."""
    sd = _cell(cited, dataset, "test_accuracy", "all", "sampling_sd", ".4f")
    return provenance.join([r" & \emph{test set of that size} & & ", sd, r" & & & \\"])


def _cell(
    cited: Sources, dataset: str, metric: str, cause: str, column: str, pattern: str
) -> Printed:
    fact = places.of_variance(cited, dataset, metric, cause, column)
    name = f"table_variance/{dataset}/{metric}/{cause}/{column}"
    value = None if fact.value is None else float(fact.value)
    return provenance.printed(name, fact, latex.number(value, pattern))
