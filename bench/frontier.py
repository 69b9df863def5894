"""Precision against price of all ways to compute the penalty: `python -m bench.frontier --help`.

A training with the penalty follows the gradient g of an estimate of tr(H^2). Its spread is
E |g - t|^2 / |t|^2 around its mean t, the gradient of the number that the way estimates, its
target:

- tr(H_b^2) of the mini-batch's loss, or tr(G_b^2), the Gauss-Newton part;
- tr(H^2), or tr(G^2), of the loss of all training examples.

Each way is measured against its own target alone, in two ways. "given" a mini-batch, only random
probes, sketches, signs and halves are drawn. There t is exact for dense layers, from all pairs of
the batch's examples; for tr(H^2) and tr(G^2) it is the mean over pairs of different ones. "drawn"
with the mini-batch, as in training, g varies with the examples too; t is the mean over
mini-batches. Examples are drawn independently, with replacement: then pairs of different ones are
exactly unbiased for the loss of all. For a small training set t is exact there too. Elsewhere it is
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
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from bench import jax_steps, turns
from bench.cost import REPOSITORY, show
from bench.spread import Truth, around, averaged, pooled
from bench.turns import ratios, take_turns, timed
from bench.ways import PROBLEMS, Problem
from flatreg import command, config, machine, penalty
from flatreg.data import splits
from flatreg.data.dataset import load_dataset
from flatreg.data.splits import Split
from flatreg.disk.files import read_json, write_json
from flatreg.machine import hold_threads

# The targets of the whole loss, and of the mini-batch's beside it.
OF_LOSS = {"tr(H^2)": "tr(H_b^2)", "tr(G^2)": "tr(G_b^2)"}
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
        rows = rng.integers(len(self.examples.y), size=size or self.problem.batch)
        return self.examples.inputs(rows), self.examples.y[rows]

    def draws(self, gradient: Gradient, numbers: Iterable[int], size: int | None = None) -> Draws:
        """A gradient for each number, its mini-batch drawn too."""
        return (gradient(self.params, *self.batch(n, size), jax.random.key(n)) for n in numbers)

    def given(self, gradient: Gradient, numbers: Iterable[int], batch: Batch) -> Draws:
        """A gradient for each number, of one mini-batch.

        Its examples come in any order, which draws the halves of a way that halves them.
        """
        for n in numbers:
            order = np.random.default_rng(n).permutation(len(batch[1]))
            x, y = (part[order] for part in batch)
            yield gradient(self.params, x, y, jax.random.key(n))


def main() -> None:
    """Measure the parts that are asked for, and write them over those of the file."""
    arguments = _parse()
    hold_threads(arguments.threads)
    chosen = {name: PROBLEMS[name] for name in arguments.networks}
    timing = turns.timing(arguments)
    counts = {"draws": arguments.draws, "truth_draws": arguments.truth_draws}
    parts = {
        "times": (timing, partial(measure_times, chosen, timing)),
        "spreads": (counts, partial(measure_spreads, chosen, arguments.data, **counts)),
    }
    # Before a file is written: from then on, the folder may differ from its commit.
    facts = machine.describe() | {"threads": arguments.threads, "load_before": os.getloadavg()[0]}
    result = read_json(arguments.out) if arguments.out.exists() else {"facts": {}}
    result |= {"ways": targets(chosen), "networks": described(chosen)}
    for part in arguments.parts:
        options, run = parts[part]
        result[part] = run()
        result["facts"][part] = facts | options
        write_json(arguments.out, result)


def training_examples(folder: Path, name: str) -> Split:
    """The training examples of a data set as the study's `literal` splits and scales them."""
    schema = REPOSITORY / "workflow/schemas/config.schema.json"
    study = config.read([REPOSITORY / "config.yaml"], schema)
    settings = config.cell_settings(study, "literal", name).of_run(config.BASELINE, 0)
    return splits.prepare(load_dataset(folder / f"{name}.npz"), settings).train


def targets(problems: dict[str, Problem]) -> dict[str, str]:
    """What each way estimates."""
    every = [problem.ways for problem in problems.values()]
    return {name: way.target for ways in every for name, way in ways.items()}


def described(problems: dict[str, Problem]) -> dict[str, Any]:
    """What is measured on."""
    fields = ("dataset", "batch", "epochs", "learning_rate", "batches", "large", "dear")
    return {
        name: {field: getattr(problem, field) for field in fields}
        | {"parameters": sum(leaf.size for leaf in jax.tree.leaves(problem.model.start()))}
        for name, problem in problems.items()
    }


# ── Time ──────────────────────────────────────────────────────────────────────


def measure_times(
    problems: dict[str, Problem], timing: dict[str, Any]
) -> dict[str, dict[str, dict[str, float]]]:
    """The times of all ways, by network."""
    return {name: time_ways(name, problem, timing) for name, problem in problems.items()}


def time_ways(name: str, problem: Problem, timing: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Ratios of the steps of all ways to the plain one, and the plain steps that each adds."""
    steps = {"plain": "plain", "SAM": "SAM"} | problem.ways
    runs = {
        way: timed(jax_steps.step_of(problem.model, problem.batch, step))
        for way, step in steps.items()
    }
    found = ratios(take_turns(runs, **timing))
    show(name, found)
    return {way: row | {"added": row["ratio"] - 1} for way, row in found.items()}


# ── Spread ────────────────────────────────────────────────────────────────────


def measure_spreads(
    problems: dict[str, Problem], folder: Path, *, draws: int, truth_draws: int
) -> dict[str, dict[str, Any]]:
    """The spreads of all ways, by network."""
    return {
        name: spreads_of(problem, training_examples(folder, problem.dataset), draws, truth_draws)
        for name, problem in problems.items()
    }


def spreads_of(problem: Problem, examples: Split, draws: int, truth_draws: int) -> dict[str, Any]:
    """The spread of each way at initial and at trained parameters.

    Args:
        problem: the network.
        examples: of its loss.
        draws: of each gradient given mini-batches, and as many drawn with them.
        truth_draws: of gradients whose mean is a truth, where one is not dear.

    Returns:
        The number of examples (`examples`), and by state of the parameters: the mean loss
        (`losses`), the squared error of each truth over mini-batches relative to its squared norm
        (`truth_errors`), and of each way the spreads "given" and "drawn" (`ways`).
    """
    start = problem.model.start()
    states = {"initial": start, "trained": trained(problem, examples, start)}
    ways, precision = problem.ways, truth_draws // problem.dear
    losses, errors = {}, {}
    spreads: dict[str, dict[str, Any]] = {name: {} for name in ways}
    for state, params in states.items():
        here = Place(problem, examples, params)
        losses[state] = mean_loss(here)
        given, drawn = given_truths(here, precision), drawn_truths(here, precision)
        errors[state] = relative_errors(drawn)
        for name, way in ways.items():
            gradient = gradient_of(way)
            spreads[name][state] = {
                "given": spread_given(here, gradient, given[way.target], draws),
                "drawn": spread_drawn(here, gradient, drawn[way.target], draws),
            }
            show_spreads(name, state, spreads[name][state])
    counted = {"examples": len(examples.y), "losses": losses, "truth_errors": errors}
    return counted | {"ways": spreads}


def trained(problem: Problem, examples: Split, params: Any) -> Any:
    """Parameters after plain training by SGD with momentum, without dropout and weight decay."""
    optimizer = optax.sgd(problem.learning_rate, momentum=0.9, nesterov=True)

    @jax.jit
    def step(carry: Any, x: jax.Array, y: jax.Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(jax.grad(problem.model.loss)(params, x, y), state, params)
        return optax.apply_updates(params, updates), state

    carry = params, optimizer.init(params)
    for rows in epochs(len(examples.y), problem):
        carry = step(carry, examples.inputs(rows), examples.y[rows])
    return carry[0]


def epochs(examples: int, problem: Problem) -> Iterator[np.ndarray]:
    """Row numbers of each mini-batch; what is left of an epoch's order is not used."""
    size = problem.batch
    for epoch in range(problem.epochs):
        order = np.random.default_rng(epoch).permutation(examples)
        yield from order[: examples // size * size].reshape(-1, size)


def mean_loss(here: Place) -> float:
    """Of up to 2,000 training examples."""
    rows = np.arange(min(2000, len(here.examples.y)))
    loss = here.problem.model.loss
    return float(loss(here.params, here.examples.inputs(rows), here.examples.y[rows]))


@cache
def gradient_of(estimator: penalty.Estimator) -> Gradient:
    """The compiled gradient of an estimate, flat."""

    @jax.jit
    def gradient(params: Any, x: Any, y: Any, key: jax.Array) -> jax.Array:
        return ravel_pytree(jax.grad(lambda p: estimator(p, x, y, key=key))(params))[0]

    return gradient


def exact_gradient(target: str, here: Place, batch: Batch) -> np.ndarray:
    """The gradient [parameters] of a target of a mini-batch."""
    gradient = gradient_of(here.problem.exact[target])
    return np.asarray(gradient(here.params, *batch, jax.random.key(0)))


def given_truths(here: Place, draws: int) -> dict[str, list[Truth]]:
    """The mean of each target's estimates, for each given mini-batch."""
    batches = given_batches(here)
    if here.problem.exact:
        return {
            target: [Truth(exact_gradient(target, here, batch)) for batch in batches]
            for target in here.problem.exact
        }
    numbers = range(TRUTHS, TRUTHS + draws)
    return {
        target: [averaged(here.given(gradient_of(way), numbers, batch)) for batch in batches]
        for target, way in here.problem.precise.items()
    }


def given_batches(here: Place) -> list[Batch]:
    """The mini-batches that are given."""
    return [here.batch(GIVEN + number) for number in range(here.problem.batches)]


def drawn_truths(here: Place, draws: int) -> dict[str, Truth]:
    """The mean of each target's estimates over mini-batches."""
    if here.problem.large is None:
        return exact_drawn_truths(here)
    return {target: mean_of_draws(here, target, draws) for target in here.problem.precise}


def exact_drawn_truths(here: Place) -> dict[str, Truth]:
    """From all pairs of the training examples.

    With V the gradient over all pairs of N examples and U that over pairs of different ones, the
    examples with themselves have the mean S = N V - (N - 1) U. In a mini-batch of B examples a
    share 1/B of the pairs is of an example with itself, and of the others the mean is V.
    """
    examples, size = here.examples, here.problem.batch
    count = len(examples.y)
    everything = examples.inputs(np.arange(count)), examples.y
    truths = {}
    for of_loss, of_batch in OF_LOSS.items():
        v, u = (exact_gradient(target, here, everything) for target in (of_batch, of_loss))
        itself = count * v - (count - 1) * u
        truths[of_loss] = Truth(v)
        truths[of_batch] = Truth(v + (itself - v) / size)
    return truths


def mean_of_draws(here: Place, target: str, draws: int) -> Truth:
    """The mean of a precise way's draws; that of a loss is the same on larger mini-batches."""
    gradient = gradient_of(here.problem.precise[target])
    size = here.problem.large if target in OF_LOSS else None
    return averaged(here.draws(gradient, range(TRUTHS, TRUTHS + draws), size))


def relative_errors(truths: dict[str, Truth]) -> dict[str, float]:
    """Squared error of each truth over its squared norm."""
    return {target: truth.squared_error / truth.size for target, truth in truths.items()}


def spread_given(
    here: Place, gradient: Gradient, truths: list[Truth], draws: int
) -> dict[str, float]:
    """The spread of probes, sketches, signs and halves alone, over the given mini-batches."""
    each = max(2, draws // len(truths))
    numbers = (range(first, first + each) for first in range(0, each * len(truths), each))
    return pooled(
        [
            around(truth, here.given(gradient, own, batch))
            for own, truth, batch in zip(numbers, truths, given_batches(here), strict=True)
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
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=PROBLEMS,
        default=list(PROBLEMS),
        help="all by default, as the figure has",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores to use")
    parser.add_argument("--draws", type=int, default=64, help="of each way's gradient")
    parser.add_argument("--truth-draws", type=int, default=384, help="whose mean is a truth")
    turns.add_flags(parser, rounds=9, seconds=0.2)
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
