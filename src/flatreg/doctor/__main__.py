"""Say what this machine is, and what on it is in the way of a study.

The report is what an issue should contain. The exit code is 1 if something is in the way.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from flatreg import command
from flatreg.doctor import computer, environment, storage, tools


def main() -> None:
    """Print all findings, and then what to do."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the results (results)"
    )
    arguments = parser.parse_args()
    sections = {
        "computer": list(computer.findings()),
        "environment": list(environment.findings()),
        "programs": list(tools.findings()),
        "data and disks": list(storage.findings(arguments.results)),
    }
    console = Console(highlight=False, soft_wrap=True)
    for title, findings in sections.items():
        console.print(f"[bold]{title}")
        for finding in findings:
            console.print(f"  {finding.what:<16}{escape(finding.found)}")
    obstacles = [
        finding for findings in sections.values() for finding in findings if finding.remedy
    ]
    for what, found, remedy in obstacles:
        console.print(f"[bold red]in the way[/]: {what}, {escape(found)}; {escape(remedy)}")
    if obstacles:
        sys.exit(1)
    console.print("[bold green]nothing is in the way[/]")
    console.print("An issue should contain this report, what you typed, and the log that it names.")


if __name__ == "__main__":
    command.run(main)
