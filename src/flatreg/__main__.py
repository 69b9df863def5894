"""All commands of the project under one program: `flatreg NAME ARGUMENTS`."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table

from flatreg import command, surroundings
from flatreg.code import LIBRARY, first_line
from flatreg.errors import UserError, nearest

# Commands for people; the others are stages that the workflow calls.
BY_HAND = (
    *("doctor", "trace", "explore", "verify", "stages", "propose_runs"),
    *("config", "reference", "archive", "unpack", "confirm", "readme"),
)
# Deprecated names, those of version 0.1.0, with their successors; removed in the next version.
FORMER = {
    "evidence.generalization": "evidence correlations",
    "evidence.variance": "evidence variance",
    "evidence.overall": "evidence overall",
    "evidence.calibration": "evidence calibration",
    "evidence.judge": "evidence claims",
    "evidence.forensics": "forensics",
    "evidence.estimates": "estimates",
    "evidence.reparametrization": "rescaling",
    "evidence.propose_runs": "propose_runs",
    "paper.numbers": "numbers",
    "paper.result_tables": "tables",
    "paper.ledger_table": "tables ledger",
    "paper.variance_table": "tables table_variance",
    "paper.forensics_table": "tables table_forensics",
    "paper.appendix": "tables appendix",
    "paper.flowcharts": "flowcharts",
    "paper.compile": "compile",
}


def run() -> None:
    """The program `flatreg`: a mistake in what is typed is one line."""
    command.run(main)


def main() -> None:
    """Run a command with its arguments, or list all commands."""
    name, *arguments = sys.argv[1:] or ["--help"]
    known = commands()
    if name in ("-h", "--help"):
        list_commands(known)
        return
    if name in FORMER:
        print(f"flatreg {name} is now flatreg {FORMER[name]}", file=sys.stderr)
        name, *first = FORMER[name].split()
        arguments = first + arguments
    if name not in known:
        raise UserError(f"flatreg has no command {name!r}{nearest(name, known)}")
    module, _ = known[name]
    if said := surroundings.hold():
        print(said, file=sys.stderr, flush=True)
    # A new process, so that the command line in a run's facts is the one typed in full.
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def commands() -> dict[str, tuple[str, str]]:
    """Module and first docstring line of every command, by the last word of the module's name."""
    known = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.parent != LIBRARY and '\nif __name__ == "__main__":' in text:
            parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
            words = parts[:-1] if parts[-1] == "__main__" else parts
            line = first_line(".".join(parts[1:]))
            known[words[-1]] = ".".join(words), line.rstrip(".")
    return known


def list_commands(known: dict[str, tuple[str, str]]) -> None:
    """Print the commands with what they do, those for people first."""
    console = Console(highlight=False)
    console.print("usage: flatreg NAME ARGUMENTS; flatreg NAME --help lists the arguments")
    groups = {
        "commands for you": BY_HAND,
        "stages that the workflow runs": [name for name in known if name not in BY_HAND],
    }
    for title, names in groups.items():
        console.print(f"\n{title}:")
        table = Table.grid(padding=(0, 2))
        for name in names:
            table.add_row(f"[bold]{name}", known[name][1])
        console.print(table)


if __name__ == "__main__":
    run()
