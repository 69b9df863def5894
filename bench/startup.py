"""The time that the workflow's commands take to start: `python -m bench.startup --help`.

Each command runs with `--help`, which imports what it imports before it reads its arguments; JAX
alone is the yardstick. What a command imports later, for the row or the data set that it is given,
is not counted. Of each module, the smallest own time of five processes counts: other programs on
the machine only add to it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from flatreg import command, machine
from flatreg.__main__ import BY_HAND, commands
from flatreg.disk.files import write_json
from flatreg.errors import UserError

ROUNDS = 5
LARGEST = 5
YARDSTICK = "jax"
# A line of `python -X importtime`: own time and time with imports (microseconds), module.
LINE = re.compile(r"import time: +(\d+) \| +\d+ \| +(\S+)")


class Startup(NamedTuple):
    """Seconds that all imports took, and those of the packages with the largest own times."""

    seconds: float
    packages: dict[str, float]


def main() -> None:
    """Measure all commands in turns, write the time of each and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the times (JSON)")
    arguments = parser.parse_args()
    starts = command_lines()
    rounds = [{name: own_times(words) for name, words in starts.items()} for _ in range(ROUNDS)]
    times = {name: startup([turn[name] for turn in rounds]) for name in starts}
    found = {name: time._asdict() for name, time in times.items()}
    write_json(arguments.out, {"rounds": ROUNDS, "startup": found, "facts": machine.describe()})
    print(table(times))


def command_lines() -> dict[str, list[str]]:
    """The arguments of Python that start the yardstick and each stage of the workflow, by name."""
    modules = [module for name, (module, _) in commands().items() if name not in BY_HAND]
    stages = {module: ["-m", module, "--help"] for module in modules}
    return {YARDSTICK: ["-c", f"import {YARDSTICK}"]} | stages


def own_times(words: list[str]) -> dict[str, int]:
    """Own time (microseconds) of each module that a fresh process imports.

    Raises:
        UserError: the command failed.
    """
    process = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise UserError(f"python {' '.join(words)} failed: {process.stderr.splitlines()[-1]}")
    return parsed(process.stderr)


def parsed(lines: str) -> dict[str, int]:
    """Own times (microseconds) by module, from what `python -X importtime` wrote."""
    return {module: int(microseconds) for microseconds, module in LINE.findall(lines)}


def startup(processes: list[dict[str, int]]) -> Startup:
    """Sum up the smallest own times; Python's own modules count as one package."""
    own: Counter[str] = Counter()
    for module in processes[0]:
        package = module.partition(".")[0]
        smallest = min(process[module] for process in processes if module in process)
        own["Python" if package in sys.stdlib_module_names else package] += smallest
    packages = {name: round(own[name] / 1e6, 3) for name, _ in own.most_common(LARGEST)}
    return Startup(round(own.total() / 1e6, 3), packages)


def table(times: dict[str, Startup]) -> str:
    """One line per command, slowest first: seconds, times the yardstick's, largest shares."""
    lines = [f"{'command':28} {'s':>6} {'x ' + YARDSTICK:>6}  largest shares"]
    for name, (seconds, packages) in sorted(times.items(), key=lambda item: -item[1].seconds):
        shares = ", ".join(f"{package} {share:.2f}" for package, share in packages.items())
        ratio = seconds / times[YARDSTICK].seconds
        lines.append(f"{name:28} {seconds:6.2f} {ratio:6.2f}  {shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main)
