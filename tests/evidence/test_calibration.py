"""Calibration: exact intervals cover 95 %, rows of others say so, true values match formulas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from flatreg import tables
from flatreg.evidence import calibration
from flatreg.statistics import accuracy_interval, summarize
from flatreg.tables.evidence import CALIBRATION_TABLE

NORMAL, SKEWED = calibration.DISTRIBUTIONS


def row(start: str, distribution: calibration.Distribution, n: int, rounds: int) -> dict:
    interval = next(one for one in calibration.INTERVALS if one.name.startswith(start))
    return calibration.row(interval, distribution, n, rounds, np.random.default_rng(0))


@pytest.mark.parametrize("n", [3, 20])
def test_the_t_interval_of_normal_runs_is_exact(n: int) -> None:
    result = row("t: mean", NORMAL, n, 3000)
    assert result["low"] < 0.95 < result["high"]
    assert (result["ok"], result["note"]) == ("yes", None)
    assert (result["n"], result["rounds"]) == (n, 3000)


def test_the_bootstrap_of_three_runs_is_known_to_be_too_short() -> None:
    result = row("BCa: mean", NORMAL, 3, 1000)
    # A resample's mean lies within the sample's range, which misses the mean with probability 1/4.
    assert result["coverage"] <= 0.75 + 4 * np.sqrt(0.75 * 0.25 / 1000)
    assert (result["ok"], result["note"]) == ("no", "covers too little")


def test_an_interval_that_is_mostly_missing_does_not_cover() -> None:
    result = row("BCa: log ratio", NORMAL, 3, 100)
    assert result["coverage"] < 0.1
    assert result["note"].startswith("covers too little; no interval in ")


def test_a_skewed_mean_is_covered_less_than_a_normal_one() -> None:
    skewed, normal = (row("t: mean", d, 5, 2000) for d in (SKEWED, NORMAL))
    assert skewed["high"] < normal["low"]
    assert skewed["ok"] == "no"


def test_all_t_intervals_at_once_are_those_of_each_sample() -> None:
    samples = np.random.default_rng(0).exponential(size=(50, 4))
    interval = calibration.INTERVALS[0]
    each = [summarize(sample, calibration.ALPHA) for sample in samples]
    np.testing.assert_allclose(
        np.transpose(interval.ends([samples])), [(one.low, one.high) for one in each]
    )


@pytest.mark.parametrize("n", [5, 20])
def test_the_interval_of_a_trend_covers_about_what_it_says(n: int) -> None:
    result = row("z: trend", NORMAL, n, 2000)
    assert 0.93 < result["coverage"] < 0.97


@pytest.mark.parametrize(("accuracy", "examples"), [(0.5, 20), (0.96, 114)])
def test_an_accuracy_s_coverage_is_the_binomial_sum(accuracy: float, examples: int) -> None:
    counts = np.arange(examples + 1)
    ends = [accuracy_interval(int(k), examples, calibration.ALPHA) for k in counts]
    holds = np.array([one.low <= accuracy <= one.high for one in ends])
    exact = stats.binom.pmf(counts, examples, accuracy)[holds].sum()
    result = calibration.accuracy_row(accuracy, examples, 3000, np.random.default_rng(0))
    assert result["coverage"] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 3000))


def test_true_values_have_these_formulas() -> None:
    truths = {one.name.split(":")[1].strip(): one.truth for one in calibration.INTERVALS}
    # For an exponential: -(x + 1) exp(-x) between the quartiles, divided by 1/2.
    quartiles = -np.log([0.75, 0.25])
    ends = (quartiles + 1) * np.exp(-quartiles)
    iqm = truths["interquartile mean of two data sets"]
    assert iqm(SKEWED.frozen) == pytest.approx(2 * (ends[0] - ends[1]))
    assert iqm(NORMAL.frozen) == pytest.approx(0, abs=1e-9)
    # The mean rank of a lambda counts the lambdas that are probably below it.
    steps = calibration.STEP * np.arange(calibration.LAMBDAS)
    ranks = np.sum(stats.norm.cdf(np.subtract.outer(steps, steps) / np.sqrt(2)), axis=1)
    correlation = truths["trend over seeds (mean of Spearman's correlations)"](NORMAL.frozen)
    assert correlation == pytest.approx(np.polyfit(np.arange(len(ranks)), ranks, 1)[0], abs=4e-3)


def flags(folder: Path) -> list[str]:
    """Flags for a config of a few rounds, and for the folder of the tables."""
    (folder / "config.json").write_text('{"calibration": {"rounds": 20}}')
    return ["--config", str(folder / "config.json"), "--out", str(folder)]


@pytest.mark.slow
def test_the_command_writes_every_row(tmp_path: Path) -> None:
    out = tmp_path / "calibration.csv"
    command = [sys.executable, "-m", "flatreg.evidence", "calibration", *flags(tmp_path)]
    subprocess.run([*command, "--seed", "1"], check=True)
    result = tables.read(out, CALIBRATION_TABLE)
    names, distributions = len(calibration.INTERVALS), len(calibration.DISTRIBUTIONS)
    expected = names * distributions * len(calibration.RUNS)
    assert len(result) == expected + len(calibration.ACCURACIES) * len(calibration.EXAMPLES)
    assert ((result["ok"] == "yes") == result["coverage"].between(0.93, 0.97)).all()
    assert result.loc[result["ok"] == "no", "note"].str.startswith("covers too").all()
    again = calibration.coverage(20, 1)
    assert list(again["coverage"]) == pytest.approx(list(result["coverage"]))
