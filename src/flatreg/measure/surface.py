"""Loss surfaces around two solutions of one seed.

A line connects the solutions of lambda = 0 and lambda > 0, on training and on test examples. Around
each solution is a plane of two filter-normalized directions, from the same random numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg import command, machine, models
from flatreg.config import SurfaceSettings, measure_settings, surface_settings
from flatreg.data import splits
from flatreg.data.dataset import load_dataset
from flatreg.data.prepared import write_arrays
from flatreg.disk.files import read_json
from flatreg.disk.finished import KEPT
from flatreg.measure import landscape
from flatreg.measure.solution import has_diverged, load_solution, params_of, read_record, subsets

PLAIN, PENALIZED = "plain", "penalized"


def main() -> None:
    """Write the surfaces of one data set."""
    arguments = _parse()
    machine.set_up(arguments)
    study = read_json(arguments.config)
    folders = {PLAIN: arguments.plain, PENALIZED: arguments.penalized}
    records = {name: read_record(folder) for name, folder in folders.items()}
    diverged = [name for name, record in records.items() if has_diverged(record)]
    if diverged:
        write_arrays(arguments.out, {"diverged": np.array(diverged)})
        return
    plain = load_solution(study, arguments.plain, load_dataset(arguments.data))
    penalized = params_of(arguments.penalized, records[PENALIZED], KEPT)
    solutions = {PLAIN: plain.params, PENALIZED: penalized}
    settings, subset_seed = surface_settings(study), measure_settings(study).subset_seed
    write_arrays(arguments.out, surfaces(plain.data, plain.model, solutions, settings, subset_seed))


def surfaces(
    data: splits.Splits,
    model: Any,
    solutions: dict[str, Any],
    settings: SurfaceSettings,
    subset_seed: int,
) -> dict[str, np.ndarray]:
    """Loss (nats) and accuracy along the line and loss on the planes.

    Args:
        data: of both runs.
        model: of both.
        solutions: parameters of "plain" and "penalized".
        settings: resolution and extent.
        subset_seed: seed of the choice of examples.

    Returns:
        `diverged` (no names); `alphas` [a] with 0 at plain and 1 at penalized; `train_loss`,
        `train_accuracy`, `test_loss`, `test_accuracy` [a]; `coordinates` [c]; `plain_surface` and
        `penalized_surface` [c, c], loss of the training examples.
    """
    examples = subsets(data, examples=settings.examples, subset_seed=subset_seed)
    reach = settings.reach_1d
    alphas = jnp.linspace(-reach, 1 + reach, settings.points_1d)
    coordinates = jnp.linspace(-settings.radius, settings.radius, settings.points_2d)
    arrays = {
        "diverged": np.array([], dtype=str),
        "alphas": alphas,
        "coordinates": coordinates,
    }
    for split, (x, y) in examples.items():
        loss, accuracy = _line(model, solutions, x, y, alphas)
        arrays |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    for name, params in solutions.items():
        arrays[f"{name}_surface"] = _plane(
            model, params, *examples["train"], coordinates, settings.direction_seed
        )
    return {name: np.asarray(array) for name, array in arrays.items()}


def _line(
    model: Any, solutions: dict[str, Any], x: np.ndarray, y: np.ndarray, alphas: jax.Array
) -> tuple[jax.Array, jax.Array]:
    @jax.jit
    def run(start: Any, end: Any, x: jax.Array, y: jax.Array) -> Any:
        def figures(params: Any) -> tuple[jax.Array, jax.Array]:
            logits = model.apply({"params": params}, x, train=False)
            return models.task_loss(logits, y), jnp.mean(models.correct(logits, y))

        return landscape.along_line(figures, start, end, alphas)

    return run(solutions[PLAIN], solutions[PENALIZED], x, y)


def _plane(
    model: Any,
    params: Any,
    x: np.ndarray,
    y: np.ndarray,
    coordinates: jax.Array,
    direction_seed: int,
) -> jax.Array:
    @jax.jit
    def run(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        first, second = (
            landscape.filter_normalize(landscape.random_direction(params, key), params)
            for key in jax.random.split(jax.random.key(direction_seed))
        )

        def loss(params: Any) -> jax.Array:
            return models.loss_without_dropout(model, params, x, y)

        return landscape.on_plane(loss, params, first, second, coordinates)

    return run(params, x, y)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--plain", type=Path, required=True, help="folder of the lambda = 0 run")
    parser.add_argument("--penalized", type=Path, required=True, help="of the lambda > 0 run")
    parser.add_inputs("data")
    machine.add_flags(parser)
    parser.add_out("the result (.npz)")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
