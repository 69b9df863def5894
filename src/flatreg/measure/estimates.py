"""Is the estimator unbiased?

For mini-batches of trained softmax regressions, tr(H^2) has a closed form. The mean of many
estimates with the protocol's probes is divided by this exact value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from flatreg import command, machine, objective, tables
from flatreg.config import Config, Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk.files import read_json
from flatreg.measure.solution import Solution, load_solution, read_record, run_columns
from flatreg.tables.evidence import ESTIMATES_TABLE


def main() -> None:
    """Write estimates.csv."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of the runs")
    parser.add_argument("--data", type=Path, help="prepared data or features of the runs")
    machine.add_flags(parser)
    parser.add_out("estimates.csv")
    arguments = parser.parse_args()
    machine.set_up(arguments)
    study = read_json(arguments.config)
    dataset = load_dataset(arguments.data) if arguments.runs else None
    rows = [check_run(study, folder, dataset) for folder in arguments.runs]
    frame = pd.DataFrame(rows, columns=list(ESTIMATES_TABLE.columns))
    tables.write(arguments.out, frame, ESTIMATES_TABLE)


def check_run(study: Config, folder: Path, dataset: Dataset) -> dict[str, Any]:
    """The row of one run: its estimates over the exact values, both summed over mini-batches.

    Raises:
        UserError: the run's files were changed, or its model has no closed form.
    """
    solution, estimates = load_solution(study, folder, dataset), study["estimates"]
    batches = draw_batches(solution.data.train, solution.settings, estimates["batches"])
    pairs = np.array([compare(solution, *batch, estimates["draws"]) for batch in batches])
    estimated, exact = pairs.sum(axis=0)
    return {
        **run_columns(read_record(folder)),
        "batches": estimates["batches"],
        "draws": estimates["draws"],
        "exact": exact / len(pairs),
        "estimate_ratio": estimated / exact,
    }


def draw_batches(
    split: splits.Split, settings: Settings, count: int
) -> list[tuple[np.ndarray, np.ndarray, jax.Array]]:
    """Draw inputs [B, d], labels [B] and a key for `count` mini-batches, by the run's seed."""
    rng = np.random.default_rng(settings.seed)
    keys = jax.random.split(jax.random.key(settings.seed), count)
    rows = [rng.choice(len(split.y), settings.batch, replace=False) for _ in range(count)]
    return [(split.inputs(r), split.y[r], key) for r, key in zip(rows, keys, strict=True)]


def compare(
    solution: Solution, x: np.ndarray, y: np.ndarray, key: jax.Array, draws: int
) -> tuple[float, float]:
    """The mean of `draws` estimates of tr(H^2) of one mini-batch, and the exact value.

    The estimates use automatic differentiation and the protocol's probes, like the original.
    """
    penalty = solution.settings.penalty
    by_probes, exact = (
        objective.build(
            solution.model,
            jnp.asarray(x),
            estimator=name,
            probes=penalty.probes,
            distribution=penalty.distribution,
        ).estimator
        for name in ("autodiff", "exact")
    )

    @jax.jit
    def mean(params: Any, x: jax.Array, y: jax.Array, keys: jax.Array) -> jax.Array:
        return jnp.mean(jax.lax.map(lambda key: by_probes(params, x, y, key=key), keys))

    estimated = mean(solution.params, x, y, jax.random.split(key, draws))
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), solution.params)
        truth = exact(wide, jnp.asarray(x, jnp.float64), jnp.asarray(y), key=key)
    return float(estimated), float(truth)


if __name__ == "__main__":
    command.run(main)
