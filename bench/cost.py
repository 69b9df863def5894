"""What the penalty costs, side by side with its peers: `python -m bench.cost --help`.

All ways take turns in one process (PyTorch in a child of it). Only ratios to the plain step of the
same round and framework are reported, their median over the rounds with the quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench import jax_steps
from bench.networks import Shape
from bench.turns import TORCH_PENALIZED, TORCH_PLAIN, Run, ratios, take_turns, timed
from flatreg import command, machine
from flatreg.disk.files import write_json
from flatreg.errors import UserError
from flatreg.machine import hold_threads

REPOSITORY = Path(__file__).resolve().parents[1]

# What is timed with all peers: the study's networks.
NETWORKS = {
    "cifar100": Shape(),
    "newsgroups20": Shape(10_000, (), 20, 32),
    "imdb_reviews": Shape(10_000, (), 1, 32),
    "breast_cancer": Shape(30, (512, 256), 1, 32),
}
# From CIFAR-100's, one thing is changed at a time.
CURVES = {
    "inputs": {v: Shape(inputs=v) for v in (256, 768, 3072, 6144, 12288)},
    "batch": {v: Shape(batch=v) for v in (32, 64, 128, 256, 512, 1024)},
    "probes": {v: Shape(probes=v) for v in (1, 2, 5, 10, 20)},
    "layers": {v: Shape(hidden=(512, *[256] * (v - 2))) for v in (2, 3, 4, 6, 8)},
}
CURVE_WAYS = ("plain", "reverse over reverse", "autodiff", "gram")
# Words of a text, of a vocabulary of 10,000: where a sparse batch stops being the cheaper one.
WORDS = (10, 30, 100, 300, 1000, 3000)


def main() -> None:
    """Time everything and write the result."""
    arguments = _parse()
    hold_threads(arguments.threads)
    timing = {"rounds": arguments.rounds, "seconds": arguments.seconds}
    result = {
        "facts": machine.describe() | {"threads": arguments.threads} | timing,
        "networks": {
            n: measure_network(n, arguments.torch, arguments.threads, timing) for n in NETWORKS
        },
        "curves": {axis: measure_curve(axis, timing) for axis in CURVES},
        "words": measure_words(timing),
        "floor": measure_floor(Shape(), timing),
    }
    show_floor(result["floor"])
    write_json(arguments.out, result)


def measure_network(
    name: str, torch: Path | None, threads: int, timing: dict[str, Any]
) -> dict[str, Any]:
    """Ratios and working memory of all ways on one of the study's networks."""
    shape = NETWORKS[name]
    ways = jax_ways(shape)
    working = {way: jax_steps.working_bytes(shape, way) for way in ways}
    with ExitStack() as stack:
        if torch:
            child = stack.enter_context(torch_child(torch, threads, shape))
            ways |= {TORCH_PLAIN: partial(ask, child, "plain")}
            ways |= {TORCH_PENALIZED: partial(ask, child, "penalized")}
        found = ratios(take_turns(ways, **timing))
    show(name, found)
    return {"shape": shape._asdict(), "ways": found, "working_bytes": working}


def measure_curve(axis: str, timing: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Ratios against one thing that grows."""
    points = {}
    for value, shape in CURVES[axis].items():
        ways = {name: run for name, run in jax_ways(shape).items() if name in CURVE_WAYS}
        points[str(value)] = ratios(take_turns(ways, **timing))
        show(f"{axis} {value}", points[str(value)])
    return points


def measure_words(timing: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Ratios to the plain step on a dense batch of texts, by how many words a text has."""
    points = {}
    for words in WORDS:
        steps = jax_steps.steps_on_texts(NETWORKS["newsgroups20"], words)
        points[str(words)] = ratios(take_turns({n: timed(s) for n, s in steps.items()}, **timing))
        show(f"words {words}", points[str(words)])
    return points


def measure_floor(shape: Shape, timing: dict[str, Any]) -> dict[str, float]:
    """The penalized step of `gram` beside its own matrix products at this machine's best rate.

    The rate is that of the largest product, a mini-batch with the first kernel.
    """
    rng = np.random.default_rng(0)
    a = jnp.asarray(rng.normal(size=(shape.batch, shape.inputs)), jnp.float32)
    b = jnp.asarray(rng.normal(size=(shape.inputs, shape.hidden[0])), jnp.float32)
    product = jax.jit(jnp.matmul)
    times = take_turns(
        {
            "product": timed(lambda: jax.block_until_ready(product(a, b))),
            "gram": timed(jax_steps.steps(shape)["gram"]),
        },
        **timing,
    )
    rate = 2 * a.size * b.shape[1] / float(np.median(times["product"]))
    flops = jax_steps.matrix_flops(shape, "gram")
    return {
        "flops_per_second": rate,
        "flops": flops,
        "floor_milliseconds": flops / rate * 1e3,
        "milliseconds": float(np.median(times["gram"]) * 1e3),
    }


def jax_ways(shape: Shape) -> dict[str, Run]:
    """All ways that JAX has."""
    return {name: timed(step) for name, step in jax_steps.steps(shape).items()}


@contextmanager
def torch_child(python: Path, threads: int, shape: Shape) -> Iterator[subprocess.Popen[str]]:
    """PyTorch's steps, in a process that waits to be asked."""
    command = [python, "-m", "bench.torch_steps", str(threads), json.dumps(shape._asdict())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as child:
        yield child
        child.stdin.close()


def ask(child: subprocess.Popen[str], what: str, count: int) -> float:
    """The child's seconds for so many steps.

    Raises:
        UserError: it has ended; its own message is above.
    """
    try:
        print(what, count, file=child.stdin, flush=True)
        return float(child.stdout.readline())
    except (BrokenPipeError, ValueError) as error:
        raise UserError("bench.torch_steps failed; its message is above") from error


def show(name: str, found: dict[str, dict[str, float]]) -> None:
    """Print a line a way."""
    print(name)
    for way, figures in found.items():
        print(
            f"  {way:26} {figures['milliseconds']:9.3f} ms  {figures['ratio']:6.2f}x"
            f" [{figures['ratio_low']:.2f}, {figures['ratio_high']:.2f}]"
            f"  every 10th {figures['ratio_interval']:.2f}x",
            flush=True,
        )


def show_floor(floor: dict[str, float]) -> None:
    """Print how near the penalized step is to its own matrix products."""
    print(
        f"gram, CIFAR-100: {floor['milliseconds']:.2f} ms, of which the"
        f" {floor['flops'] / 1e9:.2f} GFLOP of its matrix products, as written, would take"
        f" {floor['floor_milliseconds']:.2f} ms at {floor['flops_per_second'] / 1e9:.0f} GFLOP/s"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores to use")
    parser.add_argument("--rounds", type=int, default=15, help="turns that each way takes")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of one turn")
    parser.add_argument("--torch", type=Path, help="Python of an environment with PyTorch")
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
