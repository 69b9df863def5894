"""The paper's table of what each protocol tried: search, seeds, splits and runs."""

from __future__ import annotations

from typing import Any

from flatreg import labels
from flatreg.config import cell_settings, search_of
from flatreg.config.records import CellSettings
from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Fact, Printed
from flatreg.paper.sources import Sources

# What a seed draws anew, of the splits; the others are the same for all seeds.
SPLITS = {"split": "validation", "test_split": "test"}


def table(cited: Sources) -> Printed:
    """A `tabular` with one row per data set of each protocol, in the config's order."""
    head = (
        r"protocol & data set & strengths & points & per point & rates & epochs "
        r"& new splits & seeds & runs & diverged \\"
    )
    lines: list[Printed | str] = [
        r"\begin{tabular}{@{}llrrrlrlrrr@{}}",
        *(r"\toprule", head, r"\midrule"),
    ]
    for protocol, entry in cited.config["protocols"].items():
        for number, dataset in enumerate(entry["datasets"]):
            name = latex.escape(protocol) if number == 0 else ""
            row = provenance.join([name, *_row(cited, protocol, dataset)], " & ")
            lines.append(provenance.join([row, r" \\"]))
    return provenance.join([*lines, r"\bottomrule", r"\end{tabular}", ""], "\n")


def _row(cited: Sources, protocol: str, dataset: str) -> list[Printed | str]:
    training = cited.config["protocols"][protocol]["datasets"][dataset]
    settings = cell_settings(cited.config, protocol, dataset)

    def written(what: str, value: Any, statistic: str) -> Printed:
        fact = Fact(value, statistic, [], [cited.paths["config"].as_posix()])
        return provenance.printed(f"budget/{protocol}/{dataset}/{what}", fact, str(value))

    def counted(what: str) -> Printed:
        fact = places.of_count(cited, protocol, dataset, what)
        return provenance.printed(f"budget/{protocol}/{dataset}/{what}", fact, str(fact.value))

    search = settings.search
    tried: list[Printed | str] = ["", ""]
    if _searches(cited, protocol, dataset):
        points = len(search.learning_rate) * len(search.weight_decay)
        tried = [
            written("points", points, "points of the grid that each lambda's search begins with"),
            written("search_seeds", len(search.seeds), "trainings at each point of the search"),
        ]
    return [
        latex.escape(labels.dataset(dataset)),
        written("lambdas", len(training["lambdas"]), "number of lambdas"),
        *tried,
        _rates(cited, protocol, dataset, settings),
        written("epochs", settings.epochs, "passes over the training examples, at most"),
        _new_splits(settings),
        written("seeds", len(training["seeds"]), "number of seeds"),
        counted("runs"),
        counted("diverged"),
    ]


def _new_splits(settings: CellSettings) -> str:
    """What of the data each seed draws anew, in a word."""
    names = [name for cause, name in SPLITS.items() if cause in settings.varies]
    return "both" if len(names) == len(SPLITS) else "".join(names) or "none"


def _searches(cited: Sources, protocol: str, dataset: str) -> bool:
    """Whether some lambda of a data set has a search of this protocol."""
    training = cited.config["protocols"][protocol]["datasets"][dataset]
    of_lambdas = (search_of(cited.config, protocol, dataset, lam) for lam in training["lambdas"])
    return any(found is not None and found.protocol == protocol for found in of_lambdas)


def _rates(cited: Sources, protocol: str, dataset: str, settings: CellSettings) -> str:
    """Where learning rate and weight decay come from, in words."""
    if settings.search is None:
        return "as stated"
    if settings.search.lam is not None:
        return rf"those of $\lambda={settings.search.lam}$"
    return "searched" if _searches(cited, protocol, dataset) else "those of its base"
