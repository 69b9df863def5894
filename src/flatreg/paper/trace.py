"""Trace a number of the paper to its runs, files, commit and command.

NUMBER is a number as printed (0.2776, 1.78·10^3 or 1.78e3), a macro of main.tex or its place
(summary/tuned/cifar100/0/test_accuracy/mean), a cell of a table
(table_cifar100/tuned/0.01/test_accuracy/mean), or the beginning of a place (summary/tuned).
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from flatreg import command, tables
from flatreg.config import Config
from flatreg.disk.files import read_json, sha256
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.paper import latex, provenance
from flatreg.paper.provenance import Item

SHOWN_RUNS = 5


def main() -> None:
    """Print the provenance of each matching item."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument("number", metavar="NUMBER", help="a number, a macro or a place")
    parser.add_argument(
        "--config", type=Path, default=Path("results/config.json"), help="resolved config (JSON)"
    )
    parser.add_argument("--runs", action="store_true", help="list all runs, not the first few")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    items = read_items(Path(study["paths"]["generated"]))
    found = matching(arguments.number, items)
    if not found:
        near = ", ".join(nearest(arguments.number, items))
        raise UserError(f"nothing in the paper matches {arguments.number!r}; nearest: {near}")
    runs = read_runs(study) if any(item.runs for item in found) else pd.DataFrame()
    console = Console(highlight=False, soft_wrap=True)
    for item in found:
        console.print(Text(item.id, style="bold"))
        for name, lines in describe(item, study, runs, None if arguments.runs else SHOWN_RUNS):
            for number, line in enumerate(lines):
                console.print(Text.assemble((f"  {'' if number else name:<10}", "cyan"), line))


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


def read_runs(study: Config) -> pd.DataFrame:
    """metrics.csv by key, with the folder of each run."""
    results = Path(study["paths"]["results"])
    runs = tables.read(results / "tables" / "metrics.csv", tables.METRICS_TABLE)
    names = runs[tables.RUN].itertuples(index=False)
    return runs.assign(folder=[run_dir(results, *name) for name in names]).set_index("key")


def describe(
    item: Item, study: Config, runs: pd.DataFrame, shown: int | None
) -> list[tuple[str, list[str]]]:
    """The description of an item: pairs of a heading and its lines.

    Args:
        item: an item of a sidecar.
        study: completed config.
        runs: result of `read_runs`.
        shown: number of runs to list; None lists all.

    Raises:
        UserError: a run of the item is not in metrics.csv.
    """
    if lost := [key for key in item.runs if key not in runs.index]:
        raise UserError(f"{item.id} names run {lost[0]}, which metrics.csv lacks; make it again")
    made = runs.loc[item.runs] if item.runs else runs
    listed = [f"{key}  {made['folder'][key].as_posix()}" for key in item.runs[:shown]]
    more = len(item.runs) - len(listed)
    said = [f"{len(item.runs)} in all" if item.runs else "none: it was read from the files alone"]
    facts, data = (of_facts(made), of_data(made, study)) if item.runs else ([], [])
    trained = (
        [line for folder in made["folder"][:1] for line in of_training(folder)] if facts else []
    )
    value = item.value if isinstance(item.value, str) else json.dumps(item.value)
    return [
        ("printed", [item.printed]),
        ("value", [value]),
        ("statistic", [item.statistic]),
        ("runs", [*said, *listed, *([f"and {more} more: --runs"] if more else [])]),
        ("files", [f"{_hash(Path(file))}  {file}" for file in item.files]),
        ("data", data),
        ("made by", facts),
        ("a run by", trained),
        ("command", [item.command]),
    ]


def of_facts(runs: pd.DataFrame) -> list[str]:
    """The commits and machines that made these runs, with the number of runs of each."""
    made = Counter(_making(folder / "facts.json") for folder in runs["folder"])
    return [f"{making}: {count} of {len(runs)} runs" for making, count in made.items()]


def of_training(folder: Path) -> list[str]:
    """The command that trained a run, if its facts are available."""
    path = folder / "facts.json"
    return [shlex.join(read_json(path)["command"])] if path.exists() else []


def of_data(runs: pd.DataFrame, study: Config) -> list[str]:
    """The hashes of the examples that these runs read, beside the hashes in the manifests."""
    lines = []
    for (protocol, dataset), chosen in runs.groupby(["protocol", "dataset"], sort=False):
        source = study["protocols"][protocol]["datasets"][dataset]["source"]
        path = Path(study["paths"]["results"]) / "data" / f"{source}.json"
        kept = read_json(path)["sha256"] if path.exists() else None
        for digest in chosen["data_sha256"].unique():
            agrees = "as in" if digest == kept else "unlike"
            lines.append(f"{digest}  {dataset}, {agrees} {path.as_posix()}")
    return list(dict.fromkeys(lines))


def _making(path: Path) -> str:
    if not path.exists():
        return "unknown (no facts.json)"
    facts: dict[str, Any] = read_json(path)
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
    """All forms of an item's printed text that a query may use."""
    numbers: Iterable[str] = latex.numbers_in(item.printed)
    return {item.printed, *(form for number in numbers for form in (number, number.lstrip("+-")))}


if __name__ == "__main__":
    command.run(main)
