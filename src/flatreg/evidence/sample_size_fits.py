"""How does tr(H^2) depend on the number of examples?

On n examples its mean over samples is a + b/n, with the spread b between examples; the training
loss, whose N examples are a sample too, has a + b/N (`flatreg.measure.sample_sizes`). Each run has
its own fit, by least squares of the relative deviations, as errors of measurement grow with the
value. The whole training split is left out of the fit, which it checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config
from flatreg.tables.evidence import SAMPLE_SIZE_FITS_TABLE, SAMPLE_SIZES_TABLE

NAN = float("nan")


class Fit(NamedTuple):
    """tr(H^2) = a + b/n on n examples."""

    a: float
    b: float

    def at(self, n: Any) -> Any:
        """The fitted tr(H^2) on n examples."""
        return self.a + self.b / n

    def share(self, n: float, total: float) -> float:
        """The share in it that the loss of all `total` examples does not have."""
        return 1 - self.at(total) / self.at(n)


def fit_sample_sizes(study: Config, paths: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """SAMPLE_SIZES_TABLE of all data sets, and SAMPLE_SIZE_FITS_TABLE.

    Args:
        study: completed config.
        paths: the tables of `flatreg.measure.sample_sizes`, one of each data set.

    Raises:
        UserError: a table is missing, or was changed after it was made.
    """
    sizes = pd.concat([tables.read(path, SAMPLE_SIZES_TABLE) for path in paths], ignore_index=True)
    rows = [
        dict(zip(tables.CELL, cell, strict=True)) | _of_cell(study, cell, of_cell)
        for cell, of_cell in sizes.groupby(tables.CELL, sort=False)
    ]
    return sizes, pd.DataFrame(rows, columns=list(SAMPLE_SIZE_FITS_TABLE.columns))


def fit(examples: np.ndarray, tr_h2: np.ndarray) -> Fit:
    """The fit of tr(H^2) [k] on so many examples [k] with the least squared relative deviations.

    Returns:
        NaN for fewer than two sizes, and where a value is not above 0.
    """
    if len(examples) < 2 or not (tr_h2 > 0).all():
        return Fit(NAN, NAN)
    relative = np.stack([1 / tr_h2, 1 / (examples * tr_h2)], axis=1)
    # Columns of the same size, because b may be thousands of times a.
    scale = np.linalg.norm(relative, axis=0)
    (a, b), *_ = np.linalg.lstsq(relative / scale, np.ones(len(examples)))
    return Fit(float(a / scale[0]), float(b / scale[1]))


def _of_cell(study: Config, cell: tuple[str, str, str], sizes: pd.DataFrame) -> dict[str, Any]:
    protocol, dataset, _ = cell
    alpha = study["analysis"]["alpha"]
    batch = study["protocols"][protocol]["datasets"][dataset]["batch"]
    samples = sizes[sizes["examples"] < sizes["train_examples"]]
    runs = [_arrays(samples[samples["seed"] == seed]) for seed in sorted(sizes["seed"].unique())]
    fits = [fit(*run) for run in runs]
    whole = sizes[sizes["examples"] == sizes["train_examples"]]
    total = int(sizes["train_examples"].iloc[0])
    at_whole = whole.sort_values("seed")["tr_h2"].to_numpy(float)
    ratios = [one.at(total) for one in fits] / at_whole if len(at_whole) == len(fits) else []
    largest = samples[samples["examples"] == samples["examples"].max()]
    summary = statistics.summarize(np.array([one.a for one in fits]), alpha)
    return {
        "n": len(fits),
        **_interval("a", [one.a for one in fits], alpha),
        **_interval("b", [one.b for one in fits], alpha),
        "deviation": _deviation(runs, fits),
        "batch": batch,
        **_interval("share", [one.share(batch, total) for one in fits], alpha),
        "train_examples": total,
        "whole": float(at_whole.mean()) if len(at_whole) else NAN,
        **_interval("fit_ratio", ratios, alpha),
        **_interval("cross_batch", largest["cross_batch"], alpha),
        "note": "fewer than two sizes to fit" if any(np.isnan(fits[0])) else summary.note,
    }


def _arrays(run: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    ordered = run.sort_values("examples")
    return ordered["examples"].to_numpy(float), ordered["tr_h2"].to_numpy(float)


def _interval(name: str, values: Any, alpha: float) -> dict[str, float]:
    summary = statistics.summarize(np.asarray(values, float), alpha)
    return {name: summary.mean, f"{name}_low": summary.low, f"{name}_high": summary.high}


def _deviation(runs: Sequence[tuple[np.ndarray, np.ndarray]], fits: Sequence[Fit]) -> float:
    """The largest relative deviation, over sizes, of the mean over runs from the mean fit.

    A size is not far from the fit because one run is: errors of single runs average out.
    """
    measured = np.mean([tr_h2 for _, tr_h2 in runs], axis=0)
    at_sizes = [one.at(examples) for one, (examples, _) in zip(fits, runs, strict=True)]
    deviations = np.abs(measured / np.mean(at_sizes, axis=0) - 1)
    return float(max(deviations, default=NAN))
