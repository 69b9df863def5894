"""The paper's result tables, one per data set."""

from __future__ import annotations

from collections.abc import Callable

from flatreg.config import BASELINE, main_protocols
from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Fact, Printed
from flatreg.paper.sources import Sources

Format = Callable[[float | None], str]


def _accuracy(value: float | None) -> str:
    return latex.number(value, ".4f")


# Metric, its heading, the original's column, and the format of a value.
BLOCKS: tuple[tuple[str, str, str, Format], ...] = (
    ("test_accuracy", "Test accuracy", "test_accuracy", _accuracy),
    ("best_test_accuracy", "Best test accuracy over the epochs", "best_test_accuracy", _accuracy),
    ("tr_h2", r"Flatness $\mathrm{tr}(H^2)$ after training", "tr_h2", latex.short),
)


def table(cited: Sources, dataset: str) -> Printed:
    """A `tabular` with one row per lambda and metric; columns: the original, then each protocol."""
    main = main_protocols(cited.config)
    protocols = [n for n in main if dataset in cited.config["protocols"][n]["datasets"]]
    lambdas = _lambdas(dataset, protocols, cited)
    width = 2 + 3 * len(protocols)
    spans = "".join(rf" \cmidrule(lr){{{3 + 3 * i}-{5 + 3 * i}}}" for i in range(len(protocols)))
    heads = "".join(rf" & \multicolumn{{3}}{{c}}{{ours, {latex.escape(n)}}}" for n in protocols)
    columns = r" & mean (sd) & $p$ & $n$" * len(protocols)
    lines: list[Printed | str] = [
        rf"\begin{{tabular}}{{@{{}}ll{'rrr' * len(protocols)}@{{}}}}",
        r"\toprule",
        rf"$\lambda$ & original{heads} \\{spans}",
        rf"&{columns} \\",
    ]
    for metric, title, column, written_as in BLOCKS:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{title}}}}} \\"]
        for lam, written in lambdas.items():
            cells = [written, _original(cited, dataset, lam, column, written_as)]
            for protocol in protocols:
                cells += _cells(cited, (protocol, dataset, lam, metric), written_as)
            lines.append(provenance.join([provenance.join(cells, " & "), r" \\"]))
    return provenance.join([*lines, r"\bottomrule", r"\end{tabular}", ""], "\n")


def _lambdas(dataset: str, protocols: list[str], cited: Sources) -> dict[str, Printed]:
    """The distinct lambdas of a data set, in rising order."""
    written: dict[str, Printed] = {}
    for protocol in protocols:
        for lam in cited.config["protocols"][protocol]["datasets"][dataset]["lambdas"]:
            name = f"table_{dataset}/{protocol}/{lam}/lambda"
            fact = places.of_lambda(cited, protocol, dataset, lam)
            written.setdefault(lam, provenance.printed(name, fact, lam))
    return dict(sorted(written.items(), key=lambda item: float(item[0])))


def _cells(
    cited: Sources, place: tuple[str, str, str, str], written_as: Format
) -> list[Printed | str]:
    """Mean (sd), adjusted p of lambda 0, and n with a dagger for diverged runs."""
    protocol, dataset, lam, metric = place
    if place[:3] not in cited.summary.index.droplevel("metric"):
        return [latex.MISSING] * 3
    name = f"table_{dataset}/{protocol}/{lam}/{metric}"

    def summary(column: str) -> Fact:
        return places.of_summary(cited, *place, column)

    def cell(fact: Fact, column: str, text: str) -> Printed:
        return provenance.printed(f"{name}/{column}", fact, text)

    n, diverged = summary("n"), summary("diverged")
    mean = summary("mean")
    value: list[Printed | str] = [cell(mean, "mean", written_as(mean.value))]
    if n.value > 1:
        sd = summary("sd")
        value += [" (", cell(sd, "sd", latex.short(sd.value, 2)), ")"]
    size: list[Printed | str] = [cell(n, "n", str(int(n.value)))]
    if diverged.value:
        dagger = rf"\dagger{int(diverged.value)}"
        size += ["$^{", cell(diverged, "diverged", dagger), "}$"]
    if lam == BASELINE:
        return [provenance.join(value), "", provenance.join(size)]
    p = places.of_tests(cited, *place, "welch_p_holm")
    return [
        provenance.join(value),
        cell(p, "welch_p_holm", latex.p_value(p.value)),
        provenance.join(size),
    ]


def _original(
    cited: Sources, dataset: str, lam: str, column: str, written_as: Format
) -> Printed | str:
    if column not in cited.original.get(dataset, {}).get(lam, {}):
        return latex.MISSING
    fact = places.of_original(cited, dataset, lam, column)
    name = f"table_{dataset}/original/{lam}/{column}"
    return provenance.printed(name, fact, written_as(fact.value))
