"""Precision against price of all ways to compute the penalty: `python -m bench.frontier --help`.

A training with the penalty follows the gradient g of an estimate of tr(H^2). Its spread is
E |g - t|^2 / |t|^2 around its mean t, the gradient of the number that the way estimates, its
target:

- "batch": tr(H_b^2) of the mini-batch, or tr(G_b^2), the Gauss-Newton part;
- "loss": tr(H^2), or tr(G^2), of the loss of all training examples.

Each way is measured against its own target alone, in two ways. "given" a mini-batch, only the
random probes, sketches and signs are drawn; t is exact, from all pairs of the batch's examples. A
way with target "loss" has the mean over pairs of different examples as its t there. "drawn" with
the mini-batch, as in training, g varies with the examples too; t is the mean over mini-batches.
Examples are drawn independently, with replacement: then pairs of different ones are exactly
unbiased for the loss of all. For a small training set t is exact there too. For a large one it is
the mean of draws that serve for nothing else, whose squared standard error is subtracted where it
would count as spread or as signal.

Beside the spread stands the time that a way adds to a plain step, in plain steps; all ways and
sharpness-aware minimization take turns. Only the times need a quiet machine: `--parts times`
measures them again and keeps the spreads of the file. The exact truths need 12 GB of memory.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from matfree import stochtrace

from bench import jax_steps, networks
from bench.cost import REPOSITORY, show
from bench.jax_steps import LAYER, NETWORK, leave_one_out
from bench.networks import Shape
from bench.spread import Truth, around, averaged, pooled
from bench.turns import ratios, take_turns, timed
from flatreg import command, config, machine, penalty
from flatreg.data import splits
from flatreg.data.dataset import load_dataset
from flatreg.data.splits import Split
from flatreg.disk.files import read_json, write_json
from flatreg.machine import hold_threads


class Problem(NamedTuple):
    """A network of the study, and how it is trained and measured here.

    Attributes:
        shape: of the network and its mini-batches.
        epochs: of plain training, until its loss is about that of the study's tuned networks.
        learning_rate: of that training, as the study's search chose it.
        batches: given mini-batches.
        large: examples in a mini-batch of the draws whose mean is the truth of a loss; None if
            the truth is exact, from all pairs of training examples.
    """

    shape: Shape
    epochs: int
    learning_rate: float
    batches: int
    large: int | None


PROBLEMS = {
    "breast_cancer": Problem(Shape(30, (512, 256), 1, 32), 6, 0.01, batches=8, large=None),
    "cifar100": Problem(Shape(), 5, 0.03, batches=1, large=512),
}


class Quantity(NamedTuple):
    """What a way estimates: `target` and `curvature` as in `flatreg.penalty.pairs`."""

    target: str
    curvature: str = "hessian"


QUANTITIES = [Quantity(t, c) for t in ("batch", "loss") for c in ("hessian", "gauss_newton")]


class Way(NamedTuple):
    """One way to compute the penalty, and what it estimates."""

    quantity: Quantity
    estimator: penalty.Estimator


def of_pairs(target: str, sketches: int | None, curvature: str = "hessian") -> Way:
    """A way by pairs of examples; without a number of sketches, exact."""
    far = None if sketches is None else 1
    options = {"probes": sketches, "far": far, "target": target, "curvature": curvature}
    return Way(Quantity(target, curvature), penalty.pairs(NETWORK, **options))


WAYS = {
    "gram, 1 probe": Way(Quantity("batch"), penalty.gram(LAYER, probes=1)),
    "gram, 5 probes": Way(Quantity("batch"), penalty.gram(LAYER, probes=5)),
    "autodiff, 5 probes": Way(Quantity("batch"), penalty.autodiff(jax_steps.loss, probes=5)),
    "XNysTrace, 3 probes": Way(
        Quantity("batch"), leave_one_out("XNysTrace", stochtrace.leave_one_out_xnystrace(), 3)
    ),
    "pairs, 2 sketches": of_pairs("batch", 2),
    "pairs, Gauss-Newton, 2 sketches": of_pairs("batch", 2, "gauss_newton"),
    "pairs of the loss, 1 sketch": of_pairs("loss", 1),
    "pairs of the loss, 2 sketches": of_pairs("loss", 2),
    "pairs of the loss, Gauss-Newton, 1 sketch": of_pairs("loss", 1, "gauss_newton"),
}
# With one logit there is nothing to sketch, and any number of sketches is the same way.
OF_CLASSES = ["pairs of the loss, 2 sketches"]
# Every quantity exactly, from all pairs of the examples.
EXACT = {quantity: of_pairs(quantity.target, None, quantity.curvature) for quantity in QUANTITIES}
# The ways whose draws make a truth that is not exact.
PRECISE = {
    Quantity("batch"): WAYS["gram, 5 probes"],
    Quantity("loss"): of_pairs("loss", 2),
    **{Quantity(t, "gauss_newton"): of_pairs(t, 4, "gauss_newton") for t in ("batch", "loss")},
}
# Where the numbers of draws start that make truths, and those of given mini-batches.
TRUTHS, GIVEN = 1_000_000, 2_000_000

Batch = tuple[np.ndarray, np.ndarray]
Draws = Iterator[jax.Array]
# The gradient [parameters] of an estimate: a function of parameters, inputs, labels and key.
Gradient = Callable[[Any, Any, Any, jax.Array], jax.Array]


class Place(NamedTuple):
    """Where a gradient is taken: the parameters of a network, and the examples of its loss."""

    problem: Problem
    examples: Split
    params: Any

    def batch(self, number: int, size: int | None = None) -> Batch:
        """Mini-batch with this number: `size` examples, drawn independently with replacement."""
        rng = np.random.default_rng(number)
        rows = rng.integers(len(self.examples.y), size=size or self.problem.shape.batch)
        return self.examples.inputs(rows), self.examples.y[rows]

    def draws(self, gradient: Gradient, numbers: Iterable[int], size: int | None = None) -> Draws:
        """A gradient for each number, its mini-batch drawn too."""
        return (gradient(self.params, *self.batch(n, size), jax.random.key(n)) for n in numbers)


def main() -> None:
    """Measure the parts that are asked for, and write them over those of the file."""
    arguments = _parse()
    hold_threads(arguments.threads)
    timing = {"rounds": arguments.rounds, "seconds": arguments.seconds}
    counts = {"draws": arguments.draws, "truth_draws": arguments.truth_draws}
    parts = {
        "times": (timing, partial(measure_times, timing)),
        "spreads": (counts, partial(measure_spreads, arguments.data, **counts)),
    }
    # Before a file is written: from then on, the folder may differ from its commit.
    facts = machine.describe() | {"threads": arguments.threads, "load_before": os.getloadavg()[0]}
    result = read_json(arguments.out) if arguments.out.exists() else {"facts": {}}
    result |= {"ways": targets(), "networks": described()}
    for part in arguments.parts:
        options, run = parts[part]
        result[part] = run()
        result["facts"][part] = facts | options
        write_json(arguments.out, result)


def training_examples(folder: Path, name: str) -> Split:
    """The training examples of a data set as the study's tuned protocol splits and scales them."""
    schema = REPOSITORY / "workflow/schemas/config.schema.json"
    study = config.read([REPOSITORY / "config.yaml"], schema)
    settings = config.cell_settings(study, "tuned", name).of_run(config.BASELINE, 0)
    return splits.prepare(load_dataset(folder / f"{name}.npz"), settings).train


def targets() -> dict[str, dict[str, str]]:
    """What each way estimates."""
    return {name: way.quantity._asdict() for name, way in WAYS.items()}


def described() -> dict[str, Any]:
    """What is measured on."""
    return {n: one._asdict() | {"shape": one.shape._asdict()} for n, one in PROBLEMS.items()}


# ── Time ──────────────────────────────────────────────────────────────────────


def ways_of(shape: Shape) -> dict[str, Way]:
    """The ways that differ on a network."""
    return {n: way for n, way in WAYS.items() if shape.outputs > 1 or n not in OF_CLASSES}


def measure_times(timing: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """The times of all ways, by network."""
    return {name: time_ways(problem.shape, timing) for name, problem in PROBLEMS.items()}


def time_ways(shape: Shape, timing: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Ratios of the steps of all ways to the plain one, and the plain steps that each adds."""
    steps: dict[str, str | penalty.Estimator] = {name: name for name in ("plain", "SAM")}
    steps |= {name: way.estimator for name, way in ways_of(shape).items()}
    runs = {name: timed(jax_steps.step(shape, step)) for name, step in steps.items()}
    found = ratios(take_turns(runs, **timing))
    show(f"{shape.inputs} inputs", found)
    return {name: row | {"added": row["ratio"] - 1} for name, row in found.items()}


# ── Spread ────────────────────────────────────────────────────────────────────


def measure_spreads(folder: Path, *, draws: int, truth_draws: int) -> dict[str, dict[str, Any]]:
    """The spreads of all ways, by network."""
    return {
        name: spreads_of(problem, training_examples(folder, name), draws, truth_draws)
        for name, problem in PROBLEMS.items()
    }


def spreads_of(problem: Problem, examples: Split, draws: int, truth_draws: int) -> dict[str, Any]:
    """The spread of each way at initial and at trained parameters.

    Args:
        problem: the network.
        examples: of its loss.
        draws: of each gradient given mini-batches, and as many drawn with them.
        truth_draws: of gradients whose mean is a truth.

    Returns:
        The number of examples (`examples`), and by state of the parameters: the mean loss
        (`losses`), the squared error of each truth over mini-batches relative to its squared norm
        (`truth_errors`), and of each way the spreads "given" and "drawn" (`ways`).
    """
    start = initial(problem.shape)
    states = {"initial": start, "trained": trained(problem, examples, start)}
    ways = ways_of(problem.shape)
    losses, errors = {}, {}
    spreads: dict[str, dict[str, Any]] = {name: {} for name in ways}
    for state, params in states.items():
        here = Place(problem, examples, params)
        losses[state] = mean_loss(here)
        given, drawn = given_truths(here), drawn_truths(here, truth_draws)
        errors[state] = relative_errors(drawn)
        for name, way in ways.items():
            gradient = gradient_of(way.estimator)
            spreads[name][state] = {
                "given": spread_given(here, gradient, given[way.quantity], draws),
                "drawn": spread_drawn(here, gradient, drawn[way.quantity], draws),
            }
            show_spreads(name, state, spreads[name][state])
    counted = {"examples": len(examples.y), "losses": losses, "truth_errors": errors}
    return counted | {"ways": spreads}


def initial(shape: Shape) -> list[tuple[jax.Array, jax.Array]]:
    """Parameters as Flax draws them for the study: kernels of variance 1/d, biases 0."""
    return [
        (jnp.asarray(kernel / np.sqrt(2)), jnp.zeros_like(bias))
        for kernel, bias in networks.parameters(shape)
    ]


def trained(problem: Problem, examples: Split, params: Any) -> Any:
    """Parameters after plain training by SGD with momentum, without dropout and weight decay."""
    optimizer = optax.sgd(problem.learning_rate, momentum=0.9, nesterov=True)

    @jax.jit
    def step(carry: Any, x: jax.Array, y: jax.Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(jax.grad(jax_steps.loss)(params, x, y), state, params)
        return optax.apply_updates(params, updates), state

    carry = params, optimizer.init(params)
    for rows in epochs(len(examples.y), problem):
        carry = step(carry, examples.inputs(rows), examples.y[rows])
    return carry[0]


def epochs(examples: int, problem: Problem) -> Iterator[np.ndarray]:
    """Row numbers of each mini-batch; what is left of an epoch's order is not used."""
    size = problem.shape.batch
    for epoch in range(problem.epochs):
        order = np.random.default_rng(epoch).permutation(examples)
        yield from order[: examples // size * size].reshape(-1, size)


def mean_loss(here: Place) -> float:
    """Of up to 2,000 training examples."""
    rows = np.arange(min(2000, len(here.examples.y)))
    return float(jax_steps.loss(here.params, here.examples.inputs(rows), here.examples.y[rows]))


@cache
def gradient_of(estimator: penalty.Estimator) -> Gradient:
    """The compiled gradient of an estimate, flat."""

    @jax.jit
    def gradient(params: Any, x: Any, y: Any, key: jax.Array) -> jax.Array:
        return ravel_pytree(jax.grad(lambda p: estimator(p, x, y, key=key))(params))[0]

    return gradient


def exact_gradient(quantity: Quantity, params: Any, batch: Batch) -> np.ndarray:
    """The gradient [parameters] of a quantity of a mini-batch."""
    gradient = gradient_of(EXACT[quantity].estimator)
    return np.asarray(gradient(params, *batch, jax.random.key(0)))


def given_truths(here: Place) -> dict[Quantity, list[Truth]]:
    """The exact mean of each quantity's estimates, for each given mini-batch."""
    batches = given_batches(here)
    return {
        quantity: [Truth(exact_gradient(quantity, here.params, batch)) for batch in batches]
        for quantity in QUANTITIES
    }


def given_batches(here: Place) -> list[Batch]:
    """The mini-batches that are given."""
    return [here.batch(GIVEN + number) for number in range(here.problem.batches)]


def drawn_truths(here: Place, draws: int) -> dict[Quantity, Truth]:
    """The mean of each quantity's estimates over mini-batches."""
    if here.problem.large is None:
        return exact_drawn_truths(here)
    return {quantity: mean_of_draws(here, quantity, draws) for quantity in QUANTITIES}


def exact_drawn_truths(here: Place) -> dict[Quantity, Truth]:
    """From all pairs of the training examples.

    With V the gradient over all pairs of N examples and U that over pairs of different ones, the
    examples with themselves have the mean S = N V - (N - 1) U. In a mini-batch of B examples a
    share 1/B of the pairs is of an example with itself, and of the others the mean is V.
    """
    examples, size = here.examples, here.problem.shape.batch
    count = len(examples.y)
    everything = examples.inputs(np.arange(count)), examples.y
    truths = {}
    for curvature in ("hessian", "gauss_newton"):
        v, u = (
            exact_gradient(Quantity(target, curvature), here.params, everything)
            for target in ("batch", "loss")
        )
        itself = count * v - (count - 1) * u
        truths[Quantity("loss", curvature)] = Truth(v)
        truths[Quantity("batch", curvature)] = Truth(v + (itself - v) / size)
    return truths


def mean_of_draws(here: Place, quantity: Quantity, draws: int) -> Truth:
    """The mean of a precise way's draws; that of a loss is the same on larger mini-batches."""
    gradient = gradient_of(PRECISE[quantity].estimator)
    size = here.problem.large if quantity.target == "loss" else None
    return averaged(here.draws(gradient, range(TRUTHS, TRUTHS + draws), size))


def relative_errors(truths: dict[Quantity, Truth]) -> dict[str, float]:
    """Squared error of each truth over its squared norm."""
    return {", ".join(q): truth.squared_error / truth.size for q, truth in truths.items()}


def spread_given(
    here: Place, gradient: Gradient, truths: list[Truth], draws: int
) -> dict[str, float]:
    """The spread of probes, sketches and signs alone, over the given mini-batches."""
    each = max(2, draws // len(truths))

    def on_batch(number: int, batch: Batch) -> Iterator[jax.Array]:
        for n in range(number * each, (number + 1) * each):
            yield gradient(here.params, *batch, jax.random.key(n))

    return pooled(
        [
            around(truth, on_batch(number, batch))
            for number, (truth, batch) in enumerate(zip(truths, given_batches(here), strict=True))
        ]
    )


def spread_drawn(here: Place, gradient: Gradient, truth: Truth, draws: int) -> dict[str, float]:
    """The spread over mini-batches too."""
    return pooled([around(truth, here.draws(gradient, range(draws)))])


def show_spreads(way: str, state: str, kinds: dict[str, dict[str, float]]) -> None:
    """Print a way's spreads."""
    cells = [
        f"{kind} {row['spread']:8.2g} +- {row['error']:.1g} (bias {row['bias']:+.1g})"
        for kind, row in kinds.items()
    ]
    print(f"  {way:42} {state:8} {'  '.join(cells)}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.frontier",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared data (.npz)")
    parser.add_argument(
        "--parts", nargs="+", choices=("times", "spreads"), default=("times", "spreads")
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores to use")
    parser.add_argument("--draws", type=int, default=256, help="of each way's gradient")
    parser.add_argument("--truth-draws", type=int, default=384, help="whose mean is a truth")
    parser.add_argument("--rounds", type=int, default=15, help="number of turns of each way")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of one turn (s)")
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
