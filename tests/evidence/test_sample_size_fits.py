"""Fits of tr(H^2) = a + b/n, against scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from flatreg import tables
from flatreg.evidence import sample_size_fits
from flatreg.tables.evidence import SAMPLE_SIZE_FITS_TABLE, SAMPLE_SIZES_TABLE

STUDY = {
    "analysis": {"alpha": 0.05},
    "protocols": {"literal": {"datasets": {"digits": {"batch": 64}}}},
}
SIZES = np.array([32, 128, 512, 2048])
TOTAL = 4500


def measured(*, noise: float, sizes: np.ndarray = SIZES, whole: bool = True) -> pd.DataFrame:
    """Five runs of a cell with a = 20 and b = 3000, and relative errors of this size."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(5):
        for n in [*sizes, *([TOTAL] if whole else [])]:
            value = (20 + 3000 / n) * (1 + noise * rng.normal())
            rows.append(
                {"protocol": "literal", "dataset": "digits", "lambda": "0", "seed": seed}
                | {"key": f"k{seed}", "examples": n, "train_examples": TOTAL, "samples": 2}
                | {"probes": 0, "tr_h2": value, "tr_h2_stderr": noise, "cross_batch": 20.0 + seed}
                | {"cross_batch_stderr": noise}
            )
    return pd.DataFrame(rows)[list(SAMPLE_SIZES_TABLE.columns)]


def fitted(folder: Path, sizes: pd.DataFrame) -> pd.Series:
    tables.write(folder / "digits.csv", sizes, SAMPLE_SIZES_TABLE)
    both, fits = sample_size_fits.fit_sample_sizes(STUDY, [folder / "digits.csv"])
    tables.check(both, SAMPLE_SIZES_TABLE, "sizes")
    tables.check(fits, SAMPLE_SIZE_FITS_TABLE, "fits")
    assert len(both) == len(sizes)
    return fits.iloc[0]


def test_a_fit_is_scipy_s_with_relative_errors() -> None:
    values = (20 + 3000 / SIZES) * np.array([1.05, 0.9, 1.1, 0.97])
    found = sample_size_fits.fit(SIZES, values)
    expected, _ = optimize.curve_fit(
        lambda n, a, b: a + b / n, SIZES.astype(float), values, p0=(1, 1), sigma=values
    )
    assert found == pytest.approx(tuple(expected), rel=1e-6)


def test_without_errors_the_fit_is_the_truth(tmp_path: Path) -> None:
    row = fitted(tmp_path, measured(noise=0))
    assert row[["a", "b", "whole", "fit_ratio"]].to_list() == pytest.approx(
        [20, 3000, 20 + 3000 / TOTAL, 1]
    )
    assert row["share"] == pytest.approx(1 - (20 + 3000 / TOTAL) / (20 + 3000 / 64))
    assert row["deviation"] == pytest.approx(0, abs=1e-9)
    assert (row["n"], row["batch"], row["train_examples"]) == (5, 64, TOTAL)


def test_intervals_are_t_intervals_over_runs(tmp_path: Path) -> None:
    sizes = measured(noise=0.1)
    row = fitted(tmp_path, sizes)
    runs = [run for _, run in sizes[sizes["examples"] < TOTAL].groupby("seed")]
    fits = [
        sample_size_fits.fit(run["examples"].to_numpy(), run["tr_h2"].to_numpy()) for run in runs
    ]
    for name, values in (
        ("a", [one.a for one in fits]),
        ("share", [1 - (one.a + one.b / TOTAL) / (one.a + one.b / 64) for one in fits]),
        ("cross_batch", [20.0, 21, 22, 23, 24]),
    ):
        ends = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
        expected = [np.mean(values), *ends]
        assert row[[name, f"{name}_low", f"{name}_high"]].to_list() == pytest.approx(expected)
    means = np.mean([run["tr_h2"] for run in runs], axis=0)
    fit = np.mean([one.a + one.b / SIZES for one in fits], axis=0)
    assert row["deviation"] == pytest.approx(np.abs(means / fit - 1).max())


@pytest.mark.parametrize(("sizes", "fits"), [([32, 128], True), ([32], False), ([], False)])
def test_fewer_sizes(tmp_path: Path, sizes: list[int], fits: bool) -> None:
    row = fitted(tmp_path, measured(noise=0.1, sizes=np.array(sizes, int)))
    assert np.isfinite(row["a"]) == fits
    assert pd.isna(row["note"]) == fits
    assert np.isfinite(row["whole"])


def test_a_split_that_is_not_measured_as_a_whole(tmp_path: Path) -> None:
    row = fitted(tmp_path, measured(noise=0.1, whole=False))
    assert np.isnan(row["whole"])
    assert np.isnan(row["fit_ratio"])
    assert np.isfinite(row["a_low"])
