"""The study's commands by one name: `flatreg STAGE ARGUMENTS`."""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flatreg.config import nearest
from flatreg.errors import UserError, run_command

LIBRARY = Path(__file__).parent


def main() -> None:
    """Run `python -m flatreg.STAGE` with the arguments, or list the stages."""
    stage, *arguments = sys.argv[1:] or ["--help"]
    known = commands()
    if stage in ("-h", "--help"):
        list_commands(known)
        return
    if stage not in known:
        raise UserError(f"flatreg has no command {stage!r}{nearest(stage, known)}")
    # A new process: what a command writes down of its own call is as if typed in full.
    os.execv(sys.executable, [sys.executable, "-m", f"flatreg.{stage}", *arguments])


def commands() -> dict[str, str]:
    """Every module that is a command, by its name after `flatreg.`, with its first line."""
    found = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and '\nif __name__ == "__main__":' in text:
            name = ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(
                ".__main__"
            )
            line = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
            found[name] = re.sub(r":? `python -m .*|\.$", "", line)
    return found


def list_commands(known: dict[str, str]) -> None:
    """Print the commands, each with what it does."""
    console = Console(highlight=False)
    console.print("usage: flatreg STAGE ARGUMENTS; flatreg STAGE --help says which\n")
    table = Table.grid(padding=(0, 2))
    for name, line in known.items():
        table.add_row(f"[bold]{name}", line)
    console.print(table)


if __name__ == "__main__":
    run_command(main)
