"""How much of a mini-batch's tr(H_b^2) is spread between examples?

At the parameters of the last epoch, tr(H_b^2) is measured on disjoint samples of each of several
sizes, and on the whole training split. H_b is the mean of its n examples' Hessians, so that

    E tr(H_b^2) = tr(H^2) + E ||H_b - H||_F^2 = a + b/n

over samples. With the halves of a sample as b and c, E tr(H_b H_c) = a.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from flatreg import command, machine, tables
from flatreg.config import Config, SamplingSettings, sampling_settings
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk.files import read_json
from flatreg.measure.curvature import Estimate
from flatreg.measure.halves import Products, of_samples
from flatreg.measure.solution import (
    LAST,
    STREAMS,
    Solution,
    has_diverged,
    load_solution,
    params_of,
    probe_key,
    read_record,
    run_columns,
)
from flatreg.tables.evidence import SAMPLE_SIZES_TABLE

NAN = float("nan")


class Sampling(NamedTuple):
    """Samples of one size.

    Attributes:
        rows: of each sample [samples, n].
        probes: of a sample.
        whole: whether the only sample is the whole training split.
    """

    rows: np.ndarray
    probes: int
    whole: bool


def main() -> None:
    """Write the rows of the runs of one data set."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_runs()
    parser.add_inputs("data")
    machine.add_flags(parser)
    parser.add_out("the table of this data set (.csv)")
    arguments = parser.parse_args()
    machine.set_up(arguments)
    study, dataset = read_json(arguments.config), load_dataset(arguments.data)
    folders = [record.parent for record in arguments.runs]
    rows = list(of_runs(study, folders, dataset))
    frame = pd.DataFrame(rows, columns=list(SAMPLE_SIZES_TABLE.columns))
    tables.write(arguments.out, frame, SAMPLE_SIZES_TABLE)


def of_runs(study: Config, folders: Sequence[Path], dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Yield the rows of SAMPLE_SIZES_TABLE; a diverged run has none.

    Args:
        study: the completed config.
        folders: of the runs, all of one protocol and data set.
        dataset: of the runs.

    Raises:
        UserError: files of a run are missing or were changed.
    """
    settings = sampling_settings(study)
    finished = [folder for folder in folders if not has_diverged(read_record(folder))]

    def seed(folder: Path) -> int:
        return read_record(folder)["seed"]

    # The runs of a seed share their splits.
    for _, some in groupby(sorted(finished, key=seed), key=seed):
        yield from _of_seed(study, list(some), dataset, settings)


def _of_seed(
    study: Config, folders: Sequence[Path], dataset: Dataset, settings: SamplingSettings
) -> Iterator[dict[str, Any]]:
    records = [read_record(folder) for folder in folders]
    solutions = [_at_last_epoch(study, folder, dataset) for folder in folders]
    train, model = solutions[0].data.train, solutions[0].model
    for number, sampling in enumerate(samplings(len(train.y), settings)):
        keys = [
            jax.random.fold_in(probe_key(settings.seed, "train", solution.run.seed), number)
            for solution in solutions
        ]
        params = [solution.params for solution in solutions]
        measured = of_samples(model, params, train, sampling.rows, keys, sampling.probes)
        for record, (products, probes) in zip(records, measured, strict=True):
            yield run_columns(record) | _row(sampling, products, probes, len(train.y))


def _at_last_epoch(study: Config, folder: Path, dataset: Dataset) -> Solution:
    solution = load_solution(study, folder, dataset)
    return solution._replace(params=params_of(folder, read_record(folder), LAST))


def samplings(examples: int, settings: SamplingSettings) -> list[Sampling]:
    """The samples of each size that a split of so many examples has, and the split as a whole."""
    rng = np.random.default_rng([settings.seed, STREAMS["train"]])
    pool = rng.permutation(examples)[: settings.pool]
    parts = [
        _sampling(pool, size, settings.probes)
        for size in sorted(settings.examples)
        if size <= len(pool) and size < examples
    ]
    if examples <= settings.whole:
        parts.append(Sampling(np.arange(examples)[None], settings.probes, True))
    return parts


def _sampling(pool: np.ndarray, size: int, probes: int) -> Sampling:
    samples = len(pool) // size
    rows = pool[: samples * size].reshape(samples, size)
    return Sampling(rows, -(-probes // samples), False)


def _row(sampling: Sampling, products: Products, probes: int, examples: int) -> dict[str, Any]:
    square, cross = _over_samples(products.square), _over_samples(products.cross)
    if sampling.whole:
        square = Estimate(square.value, _standard_error(products.square[0]) if probes else 0.0)
    return {
        "examples": sampling.rows.shape[1],
        "train_examples": examples,
        "samples": len(sampling.rows),
        "probes": probes,
        "tr_h2": square.value,
        "tr_h2_stderr": square.stderr,
        "cross_batch": cross.value,
        "cross_batch_stderr": cross.stderr,
    }


def _over_samples(values: np.ndarray) -> Estimate:
    """The mean of values [samples, probes] and its standard error over samples; NaN for one."""
    of_samples = values.mean(axis=1)
    return Estimate(float(np.mean(of_samples)), _standard_error(of_samples))


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else NAN


if __name__ == "__main__":
    command.run(main)
