"""What all commands share: the parser, common flags, and the handling of errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

from flatreg import surroundings
from flatreg.errors import StoppedError, mendable

# Help for the flags of files that more than one command reads.
INPUTS = {
    "config": "the completed config (JSON)",
    "data": "prepared data or features (.npz)",
    "run": "the run's folder",
    "metrics": "metrics.csv",
    "epochs": "epochs.csv",
    "summary": "summary.csv",
    "tests": "tests.csv",
    "estimates": "estimates.csv",
    "flatness": "flatness.csv",
    "original": "the original's reported numbers (paper/original.json)",
    "bench": "what `make bench` measured (bench/results/cost.json)",
    "ledger": "the claims (YAML)",
    "schema": "the JSON schema of the claims",
}


class Parser(argparse.ArgumentParser):
    """The command-line parser of a module that runs as `python -m MODULE`."""

    def __init__(self, spec: ModuleSpec, doc: str) -> None:
        """Take the name from a module's `__spec__` and the description from its `__doc__`."""
        super().__init__(
            prog=f"python -m {spec.name.removesuffix('.__main__')}",
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_names(self) -> argparse._SubParsersAction[argparse.ArgumentParser]:
        """Require a NAME as the first argument; each name has its own flags."""
        return self.add_subparsers(
            required=True, metavar="NAME", dest="name", parser_class=argparse.ArgumentParser
        )

    def add_inputs(self, *names: str) -> None:
        """Add required paths with the help texts of `INPUTS`."""
        for name in names:
            self.add_argument(f"--{name}", type=Path, required=True, help=INPUTS[name])

    def add_runs(self) -> None:
        """Add the required paths `--runs`, the records of runs; their folders name the runs."""
        self.add_argument(
            "--runs",
            type=Path,
            required=True,
            nargs="+",
            metavar="METRICS",
            help="metrics.json of each run, in a folder runs/PROTOCOL/DATASET/lambda-L/seed-S",
        )

    def add_out(self, what: str) -> None:
        """Add the required path `--out`, which the command writes."""
        self.add_argument("--out", type=Path, required=True, help=what)


def run(main: Callable[[], None]) -> None:
    """Run a command's `main`; an error that the user can fix is one line on stderr, exit code 2.

    A command that a person types, or a cluster's own job, starts without the variables that could
    change its results: it begins again if there are any.
    """
    try:
        if main.__module__ == "__main__":
            surroundings.begin_again()
        main()
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        line = mendable(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
