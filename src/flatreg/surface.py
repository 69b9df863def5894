"""Loss surfaces around two solutions of one seed: `python -m flatreg.surface --help`.

Between the solutions of lambda = 0 and of lambda > 0 along a line, on training and test examples,
and around each on a plane of two filter-normalized directions, the same for both.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg import datasets, loss_surface, models, runtime, splits, trained
from flatreg.datasets.prepared import write_arrays
from flatreg.errors import run_command
from flatreg.files import read_json
from flatreg.measure import subsets

PLAIN, PENALIZED = "plain", "penalized"


def main() -> None:
    """Write the surfaces of one data set."""
    arguments = _parse()
    runtime.set_up(arguments)
    resolved = read_json(arguments.config)
    folders = {PLAIN: arguments.plain, PENALIZED: arguments.penalized}
    records = {name: trained.read_record(folder) for name, folder in folders.items()}
    diverged = [name for name, record in records.items() if trained.has_diverged(record)]
    if diverged:
        write_arrays(arguments.out, {"diverged": np.array(diverged)})
        return
    plain = trained.load(resolved, arguments.plain, datasets.load(arguments.data))
    penalized = trained.kept_params(arguments.penalized, records[PENALIZED])
    solutions = {PLAIN: plain.params, PENALIZED: penalized}
    write_arrays(
        arguments.out, surfaces(plain.data, plain.model, solutions, _subset_settings(resolved))
    )


def surfaces(
    data: splits.Splits,
    model: Any,
    solutions: dict[str, Any],
    settings: dict[str, Any],
) -> dict[str, np.ndarray]:
    """Loss (nats) and accuracy along the line and loss on the planes.

    Args:
        data: of both runs.
        model: of both.
        solutions: parameters of "plain" and "penalized".
        settings: the config's `surface`, and `subset_seed`.

    Returns:
        `diverged` (no names); `alphas` [a] with 0 at plain and 1 at penalized; `train_loss`,
        `train_accuracy`, `test_loss`, `test_accuracy` [a]; `coordinates` [c]; `plain_surface` and
        `penalized_surface` [c, c], loss of the training examples.
    """
    examples = subsets(data, settings)
    reach = settings["reach_1d"]
    alphas = jnp.linspace(-reach, 1 + reach, settings["points_1d"])
    coordinates = jnp.linspace(-settings["radius"], settings["radius"], settings["points_2d"])
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
            model, params, *examples["train"], coordinates, settings["direction_seed"]
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

        return loss_surface.along_line(figures, start, end, alphas)

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
            loss_surface.filter_normalize(loss_surface.random_direction(params, key), params)
            for key in jax.random.split(jax.random.key(direction_seed))
        )

        def loss(params: Any) -> jax.Array:
            return models.loss_without_dropout(model, params, x, y)

        return loss_surface.on_plane(loss, params, first, second, coordinates)

    return run(params, x, y)


def _subset_settings(resolved: dict[str, Any]) -> dict[str, Any]:
    return resolved["surface"] | {"subset_seed": resolved["measure"]["subset_seed"]}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flatreg.surface", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--plain", type=Path, required=True, help="folder of the lambda = 0 run")
    parser.add_argument("--penalized", type=Path, required=True, help="of the lambda > 0 run")
    parser.add_argument("--data", type=Path, required=True, help="prepared data or features")
    runtime.add_flags(parser)
    parser.add_argument("--out", type=Path, required=True, help="the result (.npz)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
