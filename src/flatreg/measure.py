"""Measure the curvature of one trained model: `python -m flatreg.measure --help`."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flatreg import curvature, datasets, models, runtime, splits, trained
from flatreg.errors import run_command
from flatreg.files import read_json, write_sealed
from flatreg.penalty import ModelError, linen
from flatreg.penalty.gram import gram_factor

# One stream of random numbers for the choice of examples and one for the probes of each split.
STREAMS = {"train": 0, "test": 1}


def main() -> None:
    """Measure on training and on test examples and write curvature.json."""
    arguments = _parse()
    runtime.set_up(arguments)
    resolved = read_json(arguments.config)
    record = trained.read_record(arguments.run)
    result = {"key": record["key"], "status": record["status"], "train": None, "test": None}
    if not trained.has_diverged(record):
        done = trained.load(resolved, arguments.run, datasets.load(arguments.data))
        for split, (x, y) in subsets(done.data, resolved["measure"]).items():
            key = probe_key(resolved["measure"]["subset_seed"], split, done.run.seed)
            result[split] = measure(done.model, done.params, x, y, key, resolved["measure"])
    write_sealed(arguments.out, result)


def probe_key(subset_seed: int, split: str, seed: int) -> jax.Array:
    """The key of a run's probes: shared by the lambdas of a seed, for the seeds independent.

    Were it shared by the seeds too, their mean would have an error that their spread does not show.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(subset_seed), STREAMS[split]), seed)


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
    loss, origin, at = reduced(model, params, x, y)
    samples = jax.jit(
        lambda origin, at, key: curvature.trace_samples(
            partial(loss, at), origin, key, settings["block_probes"]
        )
    )
    blocks = (
        jax.device_get(samples(origin, at, jax.random.fold_in(probe_key, block)))
        for block in itertools.count()
    )
    found = curvature.traces(
        blocks, target=settings["target_relative_error"], max_probes=settings["max_probes"]
    )
    lanczos = jax.jit(
        lambda origin, at, key: curvature.tridiagonal(
            partial(loss, at), origin, key, settings["lanczos_steps"]
        )
    )
    starts = jax.random.split(start_key, settings["lanczos_repeats"])
    largest = curvature.largest_eigenvalue(
        [jax.device_get(lanczos(origin, at, start)) for start in starts]
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


def reduced(
    model: Any, params: Any, x: np.ndarray, y: np.ndarray
) -> tuple[Callable[[Any, Any], jax.Array], Any, Any]:
    """The loss along directions in which its Hessian has all eigenvalues of H that are not zero.

    With F of `flatreg.penalty.gram` the Hessian of e -> L(zeta + F e) is F^T H_zeta F, whose
    spectrum is that of H = J^T H_zeta J, F F^T = J J^T, but for zeros. A model whose first layer
    does not allow it is taken in its own parameters.

    Returns:
        `loss(at, e) -> []`, the origin e = 0, and what the loss is taken at.
    """
    try:
        layer = linen.first_layer(model, x, models.task_loss, train=False)
    except ModelError:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return partial(_moved, model), zeros, (params, x, y)
    z, rest = layer.enter(params, x)
    with jax.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64)
        factor = gram_factor(wide, bias=layer.bias, dtype=wide.dtype).astype(jnp.float32)

    def loss(at: Any, e: Any) -> jax.Array:
        z, rest, factor, x, y = at
        moved = z + factor @ e[0], jax.tree.map(jnp.add, rest, e[1])
        return layer.loss(moved, x, y)

    origin = (jnp.zeros((factor.shape[1], z.shape[1])), jax.tree.map(jnp.zeros_like, rest))
    return loss, origin, (z, rest, factor, x, y)


def _moved(model: Any, at: Any, e: Any) -> jax.Array:
    params, x, y = at
    moved = jax.tree.map(jnp.add, params, e)
    return models.loss_without_dropout(model, moved, x, y)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flatreg.measure", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--data", type=Path, required=True, help="prepared data or features")
    runtime.add_flags(parser)
    parser.add_argument("--out", type=Path, required=True, help="the result (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
