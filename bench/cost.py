"""The cost of the penalty, side by side with its peers: `python -m bench.cost --help`.

All ways to compute it take turns in one process (PyTorch in a child process). A way's step is
divided by the plain step of the same round and framework; the results are these ratios, round by
round, and their median and quartiles. For a first look: `--rounds 3 --seconds 0.02`.
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

from bench import jax_steps, turns
from bench.networks import Shape
from bench.turns import TORCH_PENALIZED, TORCH_PLAIN, Run, ratios, take_turns, timed
from flatreg import command, config, machine
from flatreg.config import registration
from flatreg.disk.files import write_json
from flatreg.errors import UserError
from flatreg.machine import hold_threads

REPOSITORY = Path(__file__).resolve().parents[1]
SCHEMA = REPOSITORY / "workflow/schemas/config.schema.json"

# The study's networks, timed with all peers.
NETWORKS = {
    "cifar100": Shape(),
    "newsgroups20": Shape(10_000, (), 20, 32),
    "imdb_reviews": Shape(10_000, (), 1, 32),
    "breast_cancer": Shape(30, (512, 256), 1, 32),
}
# The CIFAR-100 network with one quantity changed at a time.
CURVES = {
    "inputs": {v: Shape(inputs=v) for v in (256, 768, 3072, 6144, 12288)},
    "batch": {v: Shape(batch=v) for v in (32, 64, 128, 256, 512, 1024)},
    "probes": {v: Shape(probes=v) for v in (1, 2, 5, 10, 20)},
    "layers": {v: Shape(hidden=(512, *[256] * (v - 2))) for v in (2, 3, 4, 6, 8)},
}
# What each way is; a claim about time names one of them.
ABOUT = {
    turns.PLAIN: "a step without a penalty",
    "SAM": "sharpness-aware minimization (Foret et al. 2021): two gradients",
    "reverse over reverse": "the original's algorithm: Hv as the gradient of <gradient, v>",
    "matfree": "the estimator of the library matfree",
    "autodiff": "ours, for any model: Hv forward over reverse",
    "gram": "ours, in the coordinates of the first layer's outputs",
    "exact": "ours, of one layer: the closed form",
    "pairs": "ours, of dense layers: products of pairs of examples",
    "pairs, of the training loss": "the same without each example's product with itself",
    "pairs, Gauss-Newton": "the same of the Gauss-Newton part alone",
    TORCH_PLAIN: "a step without a penalty, in PyTorch",
    TORCH_PENALIZED: "the original's algorithm, in PyTorch",
}
CURVE_WAYS = ("plain", "reverse over reverse", "autodiff", "gram")
# Words per text, of a vocabulary of 10,000, to see where a sparse batch stops being cheaper.
WORDS = (10, 30, 100, 300, 1000, 3000)


def main() -> None:
    """Time everything and write the result."""
    arguments = _parse()
    hold_threads(arguments.threads)
    timing = turns.timing(arguments)
    # Processes that waited for a core in the minute before: a quiet machine has none.
    held = {"threads": arguments.threads, "load_before": os.getloadavg()[0]}
    study = config.read([REPOSITORY / "config.yaml"], SCHEMA)
    # The claims on times are registered as those on trainings are.
    ledger = registration.register(REPOSITORY / study["claims"], study)
    result = {
        "facts": machine.describe() | held | timing | {"ledger": ledger},
        "about": ABOUT,
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
    """Ratios, round by round too, and working memory (bytes) of all ways on a study's network."""
    shape = NETWORKS[name]
    ways = jax_ways(shape)
    working = {way: jax_steps.working_bytes(shape, way) for way in ways}
    with ExitStack() as stack:
        if torch:
            child = stack.enter_context(torch_child(torch, threads, shape))
            ways |= {TORCH_PLAIN: partial(ask, child, "plain")}
            ways |= {TORCH_PENALIZED: partial(ask, child, "penalized")}
        times = take_turns(ways, **timing)
    figures = ratios(times)
    show(name, figures)
    return {
        "shape": shape._asdict(),
        "ways": figures,
        "rounds": {way: of_rounds.tolist() for way, of_rounds in turns.rounds(times).items()},
        "working_bytes": working,
    }


def measure_curve(axis: str, timing: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Ratios as one quantity of `CURVES` grows."""
    points = {}
    for value, shape in CURVES[axis].items():
        ways = {name: run for name, run in jax_ways(shape).items() if name in CURVE_WAYS}
        points[str(value)] = ratios(take_turns(ways, **timing))
        show(f"{axis} {value}", points[str(value)])
    return points


def measure_words(timing: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Ratios to the plain step on a dense batch of texts, by number of words per text."""
    points = {}
    for words in WORDS:
        steps = jax_steps.steps_on_texts(NETWORKS["newsgroups20"], words)
        points[str(words)] = ratios(take_turns({n: timed(s) for n, s in steps.items()}, **timing))
        show(f"words {words}", points[str(words)])
    return points


def measure_floor(shape: Shape, timing: dict[str, Any]) -> dict[str, float]:
    """Time of the penalized step of `gram`, and of its matrix products alone at the best rate.

    The rate is measured on the largest product, a mini-batch times the first kernel.
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
    """The steps of all ways in JAX, ready to be timed."""
    return {name: timed(step) for name, step in jax_steps.steps(shape).items()}


@contextmanager
def torch_child(python: Path, threads: int, shape: Shape) -> Iterator[subprocess.Popen[str]]:
    """Start the process that runs PyTorch's steps on request."""
    command = [python, "-m", "bench.torch_steps", str(threads), json.dumps(shape._asdict())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as child:
        yield child
        child.stdin.close()


def ask(child: subprocess.Popen[str], what: str, count: int) -> float:
    """Seconds that the child process takes for `count` steps.

    Raises:
        UserError: the child process failed; its own message is above.
    """
    try:
        print(what, count, file=child.stdin, flush=True)
        return float(child.stdout.readline())
    except (BrokenPipeError, ValueError) as error:
        raise UserError("bench.torch_steps failed; its message is above") from error


def show(name: str, figures: dict[str, dict[str, float]]) -> None:
    """Print one line per way."""
    print(name)
    for way, row in figures.items():
        print(
            f"  {way:26} {row['milliseconds']:9.3f} ms  {row['ratio']:6.2f}x"
            f" [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
            f"  every 10th {row['ratio_interval']:.2f}x",
            flush=True,
        )


def show_floor(floor: dict[str, float]) -> None:
    """Print how close the penalized step comes to the time of its matrix products."""
    print(
        f"gram, CIFAR-100: {floor['milliseconds']:.2f} ms, of which the"
        f" {floor['flops'] / 1e9:.2f} GFLOP of its matrix products, as written, would take"
        f" {floor['floor_milliseconds']:.2f} ms at {floor['flops_per_second'] / 1e9:.0f} GFLOP/s"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores to use")
    turns.add_flags(parser, rounds=15, seconds=0.2)
    parser.add_argument("--torch", type=Path, help="Python of an environment with PyTorch")
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
