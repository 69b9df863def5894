"""The penalized step with BLAS on all cores, and on one: `python -m bench.blas --help`.

On a CPU `gram` factorizes a matrix [B, B] by JAX's Cholesky, which is SciPy's BLAS. That has
threads of its own, beside those of JAX. Both ways take turns in one process.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import scipy.linalg  # noqa: F401  # loads the BLAS that JAX uses, which is to be held
from threadpoolctl import ThreadpoolController

from bench import jax_steps, turns
from bench.cost import CURVES, show
from bench.turns import Run, ratios, take_turns, timed
from flatreg import command, machine
from flatreg.disk.files import write_json

BATCHES = (128, 256, 512, 1024)


def main() -> None:
    """Time both and write the result."""
    arguments = _parse()
    timing = turns.timing(arguments)
    # Threads that wait for each other wait longer where other programs run too.
    load = {"load": os.getloadavg()[0]}
    facts = machine.describe() | load | timing
    result = {"facts": facts, "batch": {str(b): measure(b, timing) for b in BATCHES}}
    write_json(arguments.out, result)


def measure(batch: int, timing: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Ratios to the plain step of both ways, on the CIFAR-100 network."""
    shape = CURVES["batch"][batch]
    gram = timed(jax_steps.step(shape, "gram"))
    ways = {
        "plain": timed(jax_steps.step(shape, "plain")),
        "gram": gram,
        "gram, BLAS on one thread": on_one_thread(gram),
    }
    figures = ratios(take_turns(ways, **timing))
    show(f"batch {batch}", figures)
    return figures


def on_one_thread(run: Run) -> Run:
    """The same steps, with BLAS on one thread while they run."""
    controller = ThreadpoolController()

    def held(count: int) -> float:
        with controller.limit(limits=1, user_api="blas"):
            return run(count)

    return held


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.blas", description=__doc__)
    turns.add_flags(parser, rounds=15, seconds=0.5)
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
