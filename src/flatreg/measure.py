"""Measure the curvature of one trained model: `python -m flatreg.measure --help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flatreg import config, curvature, datasets, models, splits
from flatreg.errors import run_command
from flatreg.files import read_json, write_json
from flatreg.runs import load_params
from flatreg.runtime import hold_threads

# One stream of random numbers for the choice of examples and one for the probes of each split.
STREAMS = {"train": 0, "test": 1}


def main() -> None:
    """Measure on training and on test examples and write curvature.json."""
    arguments = _parse()
    hold_threads(arguments.threads)
    resolved = read_json(arguments.config)
    record = read_json(arguments.run / "metrics.json")
    result = {"key": record["key"], "status": record["status"], "train": None, "test": None}
    if record["status"] != "diverged":
        run = config.Run(*(record[name] for name in ("protocol", "dataset", "lambda", "seed")))
        settings = config.settings(resolved, run)
        data = splits.prepare(datasets.load(arguments.data), settings)
        model = models.build(settings["model"], data.classes)
        params = load_params(arguments.run / "params.npz")
        for split, (x, y) in subsets(data, resolved["measure"]).items():
            key = jax.random.fold_in(
                jax.random.key(resolved["measure"]["subset_seed"]), STREAMS[split]
            )
            result[split] = measure(model, params, x, y, key, resolved["measure"])
    write_json(arguments.out, result)


def subsets(
    data: splits.Splits, settings: dict[str, Any]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The fixed examples [n, d] and labels [n] that the Hessian is of, by split.

    Args:
        data: of the run.
        settings: `examples` (fewer are taken where a split has fewer) and `subset_seed`.
    """
    chosen = {}
    for name, split in {"train": data.train, "test": data.test}.items():
        rng = np.random.default_rng([settings["subset_seed"], STREAMS[name]])
        size = min(settings["examples"], len(split.y))
        rows = np.sort(rng.choice(len(split.y), size=size, replace=False))
        chosen[name] = (split.inputs(rows), split.y[rows])
    return chosen


def measure(
    model: Any,
    params: Any,
    x: np.ndarray,
    y: np.ndarray,
    key: jax.Array,
    settings: dict[str, Any],
) -> dict[str, float | int | bool]:
    """tr(H), tr(H^2) and the largest eigenvalue of the mean task loss, dropout off.

    Args:
        model: of `flatreg.models.build`.
        params: its parameters.
        x: inputs [n, d].
        y: labels [n].
        key: of probes and start vectors.
        settings: the config's `measure`.
    """
    probe_key, start_key = jax.random.split(key)
    found = curvature.traces(
        _blocks(model, params, x, y, probe_key, settings["block_probes"]),
        target=settings["target_relative_error"],
        max_probes=settings["max_probes"],
    )
    lanczos = jax.jit(
        lambda params, x, y, key: curvature.tridiagonal(
            partial(_loss, model, x, y), params, key, settings["lanczos_steps"]
        )
    )
    starts = jax.random.split(start_key, settings["lanczos_repeats"])
    largest = curvature.largest_eigenvalue(
        [jax.device_get(lanczos(params, x, y, start)) for start in starts]
    )
    return {
        "examples": len(y),
        "tr_h": found.tr_h.value,
        "tr_h_stderr": found.tr_h.stderr,
        "tr_h2": found.tr_h2.value,
        "tr_h2_stderr": found.tr_h2.stderr,
        "lambda_max": largest.value,
        "lambda_max_stderr": largest.stderr,
        "probes": found.probes,
        "reached": found.reached,
    }


def _blocks(
    model: Any, params: Any, x: np.ndarray, y: np.ndarray, key: jax.Array, probes: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    samples = jax.jit(
        lambda params, x, y, key: curvature.trace_samples(
            partial(_loss, model, x, y), params, key, probes
        )
    )
    block = 0
    while True:
        yield jax.device_get(samples(params, x, y, jax.random.fold_in(key, block)))
        block += 1


def _loss(model: Any, x: jax.Array, y: jax.Array, params: Any) -> jax.Array:
    return models.task_loss(model.apply({"params": params}, x, train=False), y)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flatreg.measure", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--data", type=Path, required=True, help="prepared data or features")
    parser.add_argument("--threads", type=int, required=True, help="cores to use")
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
