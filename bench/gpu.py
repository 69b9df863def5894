"""What the penalty and lanes cost on one device: `python -m bench.gpu --help`.

It needs JAX, Flax, Optax, NumPy and matfree alone. On an H200 the first two parts take 1.5 minutes
each, and the others, which compile for half a minute and more by number of lanes, as long as is
asked for; `--parts` leaves some to another call, which adds to the same file:

1. each estimator in float32 on the device against float64 on the CPU, with the same probes, at
   the device's default precision of products and the highest, over six orders of magnitude;
2. a step of the CIFAR-100 network with each way to compute the penalty, over the plain step;
3. an epoch of the study's training of that network, with different numbers of lanes side by side;
4. all runs of that cell from start to end, without files.

The file is written anew after each part, so that what is done is kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench import jax_steps, networks
from bench.networks import Shape
from flatreg import config, machine, penalty
from flatreg.config import Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk.files import read_json, write_json
from flatreg.disk.statuses import DIVERGED
from flatreg.train import loop, strategies
from flatreg.train.program import make_program

CELL = ("literal", "cifar100")
# Of the order that the study's searches choose for this cell.
RATES = {"learning_rate": 0.03, "weight_decay": 0.003}
SMALL = Shape(inputs=12, hidden=(8,), outputs=4, batch=16)
PARTS = ("checks", "steps", "lanes", "cell")
WAYS = (
    "plain",
    "SAM",
    "autodiff",
    "gram",
    "pairs",
    "pairs, of the training loss",
    "pairs, Gauss-Newton",
)
# Of the inputs that the estimators are checked on.
SIZES = (1e-3, 1.0, 1e3)
INTERVAL = 10
# Of the timed lanes.
EPOCHS = 2


def main() -> None:
    """Run all parts and write their results."""
    arguments = _parse()
    study = read_json(arguments.config)
    dataset = load_dataset(arguments.data) if arguments.data else synthetic(arguments.examples)
    parts = {
        "checks": check_estimators,
        "steps": partial(time_steps, Shape(), arguments.steps),
        "lanes": partial(time_lanes, study, dataset, arguments.lanes),
        "cell": partial(train_cell, study, dataset, arguments.epochs, arguments.seeds),
    }
    # Before a file is written: from then on, the folder may differ from its commit.
    facts = machine.describe() | {
        "device": jax.devices()[0].device_kind,
        "synthetic": arguments.data is None,
    }
    result: dict[str, Any] = read_json(arguments.out) if arguments.out.exists() else {}
    for name in arguments.parts:
        clock = time.perf_counter()
        found = parts[name]()
        seconds = round(time.perf_counter() - clock, 1)
        result[name] = {"facts": facts, "seconds": seconds, "found": found}
        print(f"{name}: {result[name]}", flush=True)
        write_json(arguments.out, result)


# ── Estimators ────────────────────────────────────────────────────────────────


def check_estimators() -> dict[str, Any]:
    """Relative errors of value and gradient, by estimator, precision and size of the inputs."""
    return {
        f"{name}, {precision}, inputs of {size:g}": {"value": value, "gradient": gradient}
        for name in WAYS[2:]
        for precision in ("default", "highest")
        for size in SIZES
        for value, gradient in [relative_errors(name, precision, size)]
    }


def relative_errors(name: str, precision: str, size: float = 1.0) -> tuple[float, float]:
    """Of an estimate with the probes of one key, and of its gradient, against float64.

    Args:
        name: of the estimator.
        precision: of the device's matrix products.
        size: factor of the inputs; the first kernel has its inverse, so the logits stay alike.
    """
    estimator = jax_steps.estimators(SMALL)[name]
    start = _resized(size)
    with jax.default_matmul_precision(precision):
        here = _value_and_gradient(estimator, jax.tree.map(jnp.asarray, start))
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        wide = jax.tree.map(lambda a: jnp.asarray(a, _wide(a)), start)
        truth = _value_and_gradient(estimator, wide)
    value, gradient = (float(_distance(h, t) / _size(t)) for h, t in zip(here, truth, strict=True))
    return value, gradient


def _resized(size: float) -> Any:
    """Parameters, inputs and labels of the small network."""
    (kernel, bias), *later = networks.parameters(SMALL)
    x, y = networks.batch(SMALL)
    return [(kernel / np.float32(size), bias), *later], x * np.float32(size), y


def _value_and_gradient(estimator: penalty.Estimator, start: Any) -> tuple[np.ndarray, np.ndarray]:
    params, x, y = start

    @jax.jit
    def run(params: Any, x: jax.Array, y: jax.Array) -> Any:
        return jax.value_and_grad(lambda p: estimator(p, x, y, key=jax.random.key(0)))(params)

    value, gradient = jax.device_get(run(params, x, y))
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)])
    return np.asarray(value, np.float64), flat.astype(np.float64)


def _wide(array: np.ndarray) -> Any:
    return np.float64 if array.dtype == np.float32 else array.dtype


def _size(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return _size(one - other)


# ── Steps ─────────────────────────────────────────────────────────────────────


def time_steps(shape: Shape, count: int) -> dict[str, Any]:
    """Microseconds of a step, and over the plain step, with the penalty on each and on every 10th.

    Args:
        shape: of the network.
        count: steps in one call of a compiled loop.
    """
    plain = jax_steps.loop_body(shape, "plain")
    bodies = {name: (jax_steps.loop_body(shape, name), 1) for name in WAYS}
    for name in WAYS[2:]:
        penalized, _ = bodies[name]
        bodies[f"{name}, every {INTERVAL}th"] = in_groups(plain, penalized), INTERVAL
    compile_seconds, seconds = {}, {}
    for name, (body, steps) in bodies.items():
        compile_seconds[name], seconds[name] = _time_loop(shape, name, body, count // steps, count)
    return {
        name: {
            "microseconds": round(1e6 * seconds[name], 1),
            "ratio": round(seconds[name] / seconds["plain"], 3),
            "compile_seconds": round(compile_seconds[name], 1),
        }
        for name in bodies
    }


def in_groups(plain: Callable[..., Any], penalized: Callable[..., Any]) -> Callable[..., Any]:
    """A group of one penalized and otherwise plain steps."""

    def group(carry: Any, x: jax.Array, y: jax.Array) -> Any:
        carry = penalized(carry, x, y)
        return jax.lax.fori_loop(0, INTERVAL - 1, lambda _, c: plain(c, x, y), carry)

    return group


def _time_loop(
    shape: Shape, name: str, body: Callable[..., Any], rounds: int, steps: int
) -> tuple[float, float]:
    """Seconds to compile a loop, and of one of its steps: the best of three calls."""
    carry, x, y = jax_steps.loop_start(shape, name.partition(",")[0])

    @jax.jit
    def run(carry: Any, x: jax.Array, y: jax.Array) -> Any:
        return jax.lax.fori_loop(0, rounds, lambda _, c: body(c, x, y), carry)

    clock = time.perf_counter()
    compiled = run.lower(carry, x, y).compile()
    compile_seconds = time.perf_counter() - clock
    times = []
    for _ in range(3):
        clock = time.perf_counter()
        carry = jax.block_until_ready(compiled(carry, x, y))
        times.append(time.perf_counter() - clock)
    return compile_seconds, min(times) / steps


# ── Lanes ─────────────────────────────────────────────────────────────────────


def synthetic(examples: int) -> Dataset:
    """Random pictures of CIFAR-100's shape; a seventh as many are the test split."""
    rng = np.random.default_rng(0)
    counts = {"train": examples, "test": -(-examples // 7)}
    x = {name: rng.integers(0, 256, (n, 3072), np.uint8) for name, n in counts.items()}
    y = {name: np.arange(n, dtype=np.int32) % 100 for name, n in counts.items()}
    return Dataset(
        name="cifar100",
        classes=100,
        x_train=x["train"],
        y_train=y["train"],
        x_test=x["test"],
        y_test=y["test"],
        maximum=255.0,
        sha256="0" * 64,
    )


def lanes_of(study: config.Config, lams: list[str], seeds: int, **changes: Any) -> list[Settings]:
    """The settings of the cell's runs."""
    cell = config.cell_settings(study, *CELL).with_rates(**RATES)
    return [replace(cell.of_run(lam, s), **changes) for s in range(seeds) for lam in lams]


def trainers_of(dataset: Dataset, runs: list[Settings]) -> list[loop.Trainer]:
    """The trainers of runs that share a program; those of a seed share their data."""
    prepared = {run.seed: splits.prepare(dataset, run) for run in runs}
    first = runs[0]
    program = make_program(first, prepared[first.seed], penalized=first.penalized)
    placed = {seed: loop.place(program, data) for seed, data in prepared.items()}
    return [loop.make_trainer(program, placed[run.seed], run) for run in runs]


def time_lanes(study: config.Config, dataset: Dataset, numbers: list[int]) -> dict[str, Any]:
    """Seconds of one epoch of so many lanes side by side, by their number, without compiling."""
    return {str(number): _time_epochs(study, dataset, number) for number in numbers}


def _time_epochs(study: config.Config, dataset: Dataset, number: int) -> dict[str, float]:
    lams = [f"{lam:g}" for lam in np.linspace(0.001, 0.1, min(number, 5))]
    runs = lanes_of(study, lams, -(-number // len(lams)), epochs=EPOCHS)[:number]
    trainers = trainers_of(dataset, runs)
    ended = trained(trainers)
    compiling = sum(state.seconds["compile"] for state in ended)
    an_epoch = sum(state.seconds["train"] for state in ended) / EPOCHS
    return {
        "compile_seconds": round(compiling, 1),
        "seconds_per_epoch": round(an_epoch, 3),
        "seconds_per_epoch_and_lane": round(an_epoch / number, 4),
    }


def trained(trainers: list[loop.Trainer]) -> list[loop.State]:
    """The last state of each lane."""
    now: dict[int, loop.State] = {}
    for states in strategies.together(trainers, [loop.start(trainer) for trainer in trainers]):
        now |= states
    return list(now.values())


def train_cell(study: config.Config, dataset: Dataset, epochs: int, seeds: int) -> dict[str, Any]:
    """Seconds of the cell's trainings with their evaluations, and how they ended."""
    clock = time.perf_counter()
    ended = [
        state
        for lams in (["0"], ["0.001", "0.01", "0.1", "1"])
        for state in trained(trainers_of(dataset, lanes_of(study, lams, seeds, epochs=epochs)))
    ]
    return {
        "runs": len(ended),
        "epochs": epochs,
        "seconds": round(time.perf_counter() - clock, 1),
        "diverged": sum(state.status == DIVERGED for state in ended),
        "test_accuracy": float(np.mean([state.rows[-1]["test_accuracy"] for state in ended])),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="the completed config (JSON)")
    parser.add_argument("--data", type=Path, help="prepared CIFAR-100 (default: random pictures)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--examples", type=int, default=50_000, help="of the random pictures")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 10, 50, 250])
    parser.add_argument("--steps", type=int, default=1000, help="in a timed loop")
    parser.add_argument("--epochs", type=int, default=20, help="of the cell's trainings")
    parser.add_argument("--seeds", type=int, default=10, help="of the cell")
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
