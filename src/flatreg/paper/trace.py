"""Trace a number of the paper to its runs, files, commit and command.

NUMBER is a number as printed (0.1953, 1.78·10^3 or 1.78e3), a macro of main.tex or its place
(summary/literal/cifar100/0/test_accuracy/mean), a cell of a table
(table_cifar100/literal/0.01/test_accuracy/mean), or the beginning of a place (summary/literal).
Without a study in results/ the answer is from results/reference, whose numbers the project prints.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.text import Text

from flatreg import command, tables
from flatreg.config import Config
from flatreg.disk.files import read_json, sha256
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.paper import latex, numbers, provenance, sources
from flatreg.paper.provenance import Item
from flatreg.paper.tables import TABLES, table_function

SHOWN_RUNS = 5
STUDY = Path("results/config.json")
REFERENCE = Path("results/reference")
# What makes the paper of the reference, beside its tables.
PAPER = {
    "text": Path("paper/main.tex"),
    "original": Path("paper/original.json"),
    "bench": Path("bench/results/cost.json"),
    "frontier": Path("bench/results/frontier.json"),
}


class Origin(NamedTuple):
    """A study whose numbers are traced.

    Attributes:
        study: its completed config.
        items: of all numbers in its paper.
        metrics: its metrics.csv.
        manifests: folder of the manifests of its data.
        facts: of all its runs together, if each run's own are not available.
    """

    study: Config
    items: list[Item]
    metrics: Path
    manifests: Path
    facts: dict[str, Any] | None


def main() -> None:
    """Print the provenance of each matching item."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument("number", metavar="NUMBER", help="a number, a macro or a place")
    where = f"completed config (JSON) of a study; {STUDY}, or else {REFERENCE}, where left out"
    parser.add_argument("--config", type=Path, help=where)
    parser.add_argument("--runs", action="store_true", help="list all runs, not the first few")
    arguments = parser.parse_args()
    origin = find_origin(arguments.config)
    matches = matching(arguments.number, origin.items)
    if not matches:
        near = ", ".join(nearest(arguments.number, origin.items))
        raise UserError(f"nothing in the paper matches {arguments.number!r}; nearest: {near}")
    runs = read_runs(origin) if any(item.runs for item in matches) else pd.DataFrame()
    console = Console(highlight=False, soft_wrap=True)
    for item in matches:
        console.print(Text(item.id, style="bold"))
        for name, lines in describe(item, origin, runs, None if arguments.runs else SHOWN_RUNS):
            for number, line in enumerate(lines):
                console.print(Text.assemble((f"  {'' if number else name:<10}", "cyan"), line))


def find_origin(config_path: Path | None) -> Origin:
    """The study that is asked for, or else the one in results/, or else the reference.

    Raises:
        UserError: there is none, or it has no paper.
    """
    if config_path is None and not STUDY.exists() and (REFERENCE / "config.json").exists():
        return read_reference(REFERENCE)
    study = read_json(config_path or STUDY)
    results = Path(study["paths"]["results"])
    items = read_items(Path(study["paths"]["generated"]))
    return Origin(study, items, results / "tables" / "metrics.csv", results / "data", None)


def read_reference(folder: Path) -> Origin:
    """The reference, its paper's numbers computed from its tables.

    Raises:
        UserError: a table is missing or was changed, or there is no text of the paper.
    """
    study = read_json(folder / "config.json")
    tables_there = {name: folder / f"{name}.csv" for name in [*sources.FLAGS, *sources.EVIDENCE]}
    files = {name: path if path.exists() else None for name, path in tables_there.items()}
    manifests = sorted((folder / "data").glob("*.json"))
    paths = files | PAPER | {"config": folder / "config.json", "manifests": manifests}
    cited = sources.read(argparse.Namespace(**paths))
    names = [*TABLES, *(f"table_{name}" for name in sorted(numbers.datasets(study)))]
    written = [
        numbers.macros(PAPER["text"], cited),
        *(table_function(name)(cited) for name in names),
    ]
    items = [item._replace(command="make paper") for part in written for item in part.items]
    facts = read_json(folder / "facts.json")
    return Origin(study, items, folder / "metrics.csv", folder / "data", facts)


def read_items(generated: Path) -> list[Item]:
    """The items of all sidecars in the paper's folder of generated files.

    Raises:
        UserError: there are no sidecars.
    """
    paths = sorted(generated.glob("*.json"))
    if not paths:
        raise UserError(f"{generated} has no list of numbers; make the paper first")
    return [item for path in paths for item in provenance.read(path)]


def matching(wanted: str, items: list[Item]) -> list[Item]:
    """The items whose place equals or begins with the query, or else those that print it."""
    place = _place(wanted)
    named = [item for item in items if item.id == place or item.id.startswith(f"{place}/")]
    number = _number(wanted)
    return named or [item for item in items if number in _printed(item)]


def nearest(wanted: str, items: list[Item]) -> list[str]:
    """A few places, or numbers, similar to the query."""
    printed = {number.lstrip("+-") for item in items for number in latex.numbers_in(item.printed)}
    # Digits in a run's key are not a number.
    printed -= {number for number in printed if number[:1] == "0" and number[1:2].isdigit()}
    try:
        value = _value(_number(wanted))
    except ValueError:
        places = {item.id for item in items}
        return difflib.get_close_matches(_place(wanted), places, n=3, cutoff=0) or sorted(places)
    return sorted(printed, key=lambda number: (abs(_value(number) - abs(value)), number))[:3]


def read_runs(origin: Origin) -> pd.DataFrame:
    """metrics.csv by key, with the folder of each run."""
    results = Path(origin.study["paths"]["results"])
    runs = tables.read(origin.metrics, tables.METRICS_TABLE)
    names = runs[tables.RUN].itertuples(index=False)
    return runs.assign(folder=[run_dir(results, *name) for name in names]).set_index("key")


def describe(
    item: Item, origin: Origin, runs: pd.DataFrame, limit: int | None
) -> list[tuple[str, list[str]]]:
    """The description of an item: pairs of a heading and its lines.

    Args:
        item: of a sidecar.
        origin: of the item.
        runs: of `read_runs`.
        limit: number of runs to list; None for all.

    Raises:
        UserError: a run of the item is not in metrics.csv.
    """
    if lost := [key for key in item.runs if key not in runs.index]:
        raise UserError(f"{item.id} names run {lost[0]}, which metrics.csv lacks; make it again")
    own_runs = runs.loc[item.runs] if item.runs else runs
    listed = [f"{key}  {own_runs['folder'][key].as_posix()}" for key in item.runs[:limit]]
    more = len(item.runs) - len(listed)
    total = [f"{len(item.runs)} in all" if item.runs else "none: it was read from the files alone"]
    facts, data = (of_facts(own_runs, origin), of_data(own_runs, origin)) if item.runs else ([], [])
    trained = (
        [line for folder in own_runs["folder"][:1] for line in of_training(folder)] if facts else []
    )
    value = item.value if isinstance(item.value, str) else json.dumps(item.value)
    return [
        ("printed", [item.printed]),
        ("value", [value]),
        ("statistic", [item.statistic]),
        ("runs", [*total, *listed, *([f"and {more} more: --runs"] if more else [])]),
        ("files", [f"{_hash(Path(file))}  {file}" for file in item.files]),
        ("data", data),
        ("made by", facts),
        ("a run by", trained),
        ("command", [item.command]),
    ]


def of_facts(runs: pd.DataFrame, origin: Origin) -> list[str]:
    """The commits and machines that made these runs, with how many each made."""
    if origin.facts is not None:
        commits = origin.facts["commits"].items()
        counts = Counter({_making(origin.facts | {"commit": c}): count for c, count in commits})
        total = counts.total()
        return [f"{making}: {count} of all {total} runs" for making, count in counts.items()]
    counts = Counter(_making_of(folder / "facts.json") for folder in runs["folder"])
    return [f"{making}: {count} of {len(runs)} runs" for making, count in counts.items()]


def of_training(folder: Path) -> list[str]:
    """The command that trained a run, if its facts are available."""
    path = folder / "facts.json"
    return [shlex.join(read_json(path)["command"])] if path.exists() else []


def of_data(runs: pd.DataFrame, origin: Origin) -> list[str]:
    """The hashes of the examples that these runs read, beside those of the manifests."""
    lines = []
    for (protocol, dataset), group in runs.groupby(["protocol", "dataset"], sort=False):
        source = origin.study["protocols"][protocol]["datasets"][dataset]["source"]
        path = origin.manifests / f"{source}.json"
        expected = read_json(path)["sha256"] if path.exists() else None
        for digest in group["data_sha256"].unique():
            agrees = "as in" if digest == expected else "unlike"
            lines.append(f"{digest}  {dataset}, {agrees} {path.as_posix()}")
    return list(dict.fromkeys(lines))


def _making_of(path: Path) -> str:
    return _making(read_json(path)) if path.exists() else "unknown (no facts.json)"


def _making(facts: dict[str, Any]) -> str:
    """Commit, machine and versions, on one line."""
    commit = f"commit {facts['commit']}" if facts["commit"] else "no commit"
    changed = ", files changed since" if facts["dirty"] else ""
    versions = f"Python {facts['python']}, jax {facts['packages']['jax']}"
    machine = f"{facts['processor']} ({facts['machine']}), {facts['cores']} cores"
    return f"{commit}{changed}, on {machine}, {versions}"


def _hash(path: Path) -> str:
    return sha256(path) if path.exists() else "missing"


def _place(wanted: str) -> str:
    macro = re.search(r"\\val(?:\[[^\]]*\])?\{([^}]*)\}", wanted)
    return (macro[1] if macro else wanted).strip().rstrip("/")


def _number(wanted: str) -> str:
    """A typed number in the form of the sidecars; powers of ten may be typed with an e."""
    text = latex.plain(wanted).strip().replace("\N{MINUS SIGN}", "-").lstrip("<†")
    powers = re.fullmatch(r"([-+]?[\d.]+)e\+?(-?)0*(\d+)", text)
    return "{}·10^{}{}".format(*powers.groups()) if powers else text


def _value(number: str) -> float:
    return float(number.replace("·10^", "e").replace(",", "").rstrip("%"))


def _printed(item: Item) -> set[str]:
    """All forms in which an item's printed text can be asked for."""
    printed: Iterable[str] = latex.numbers_in(item.printed)
    return {item.printed, *(form for number in printed for form in (number, number.lstrip("+-")))}


if __name__ == "__main__":
    command.run(main)
