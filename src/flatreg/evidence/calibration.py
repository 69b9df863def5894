"""Coverage of the 95 % intervals: how often they contain the true value.

Every interval of `flatreg.statistics` is computed for many simulated samples of few runs, from a
normal and from a skewed (exponential) distribution. The row of an interval that covers too little
says so, and so must any text that quotes such an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from flatreg import statistics
from flatreg.config import Config
from flatreg.evidence import resampling
from flatreg.statistics import aggregate, bootstrap, spread, trend
from flatreg.tables.evidence import CALIBRATION_TABLE

ALPHA = 0.05
ACCEPTED = (0.93, 0.97)
RUNS = (3, 5, 10, 20)
EXAMPLES = (20, 114, 1000)
ACCURACIES = (0.5, 0.96)
# An analysis takes 9999, which would be slow here. With 9999 the coverage of BCa was within 3
# percentage points of that with 1499, and on average higher by less than one.
RESAMPLES = 1499
# Rounds that share their resamples. That saves time and correlates them slightly.
TOGETHER = 20
# Draws for true values without a closed form.
TRUTH_DRAWS = 200_000
# Data sets of an aggregate; lambdas of a trend, whose mean rises by STEP sd per lambda.
DATASETS = 2
LAMBDAS = 5
STEP = 0.3

Ends = tuple[np.ndarray, np.ndarray]


class Distribution(NamedTuple):
    """A distribution to draw runs from, with standard deviation 1.

    Attributes:
        name: of the distribution.
        frozen: of scipy, for true values.
        draw: an array of a shape from a generator.
    """

    name: str
    frozen: Any
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


class Interval(NamedTuple):
    """A kind of interval and the value that it should contain.

    Attributes:
        name: of the interval.
        ends: computes the ends [rounds] from a list of samples [rounds, n]; where the interval is
            made from resamples, as `flatreg.statistics.bootstrap.bca_ends` does.
        truth: computes the true value from a distribution.
        statistic: of the resamples; None where there are none.
        reduce: makes the list of samples from that of draws; draw i is multiplied by scales[i],
            and shifts[i] is added.
        scales: one per draw.
        shifts: one per draw.
    """

    name: str
    ends: Callable[..., tuple[np.ndarray, ...]]
    truth: Callable[[Any], float]
    statistic: bootstrap.Statistic | None = None
    reduce: Callable[[list[np.ndarray]], list[np.ndarray]] = list
    scales: tuple[float, ...] = (1.0,)
    shifts: tuple[float, ...] = (0.0,)


DISTRIBUTIONS = (
    Distribution("normal", stats.norm(), np.random.Generator.standard_normal),
    Distribution("skewed", stats.expon(), np.random.Generator.standard_exponential),
)


def calibrate(study: Config, *, seed: int) -> tuple[pd.DataFrame]:
    """CALIBRATION_TABLE, from simulated samples alone.

    Args:
        study: the completed config, with the number of samples per row.
        seed: of all random draws.
    """
    return (coverage(study["calibration"]["rounds"], seed),)


def coverage(rounds: int, seed: int) -> pd.DataFrame:
    """One row per interval, distribution and number of runs, each with its own generator."""
    rows = [
        row(interval, distribution, n, rounds, np.random.default_rng([seed, n]))
        for interval in INTERVALS
        for distribution in DISTRIBUTIONS
        for n in RUNS
    ]
    rows += [
        accuracy_row(accuracy, n, rounds, np.random.default_rng([seed, n]))
        for accuracy in ACCURACIES
        for n in EXAMPLES
    ]
    return pd.DataFrame(rows, columns=list(CALIBRATION_TABLE.columns))


def row(
    interval: Interval, distribution: Distribution, n: int, rounds: int, rng: np.random.Generator
) -> dict[str, Any]:
    """The row of an interval: how often it contains the true value with `n` runs."""
    samples, values = _simulate(interval, distribution, (rounds, n), rng)
    low, high = _ends(interval, samples, values)
    truth = interval.truth(distribution.frozen)
    return _coverage_row(interval.name, distribution.name, n, low, high, truth)


def accuracy_row(
    accuracy: float, examples: int, rounds: int, rng: np.random.Generator
) -> dict[str, Any]:
    """The row of Wilson's interval: how often it contains the true accuracy."""
    correct = rng.binomial(examples, accuracy, size=rounds)
    counts, places = np.unique(correct, return_inverse=True)
    intervals = [statistics.accuracy_interval(int(k), examples, ALPHA) for k in counts]
    low, high = (np.array([getattr(one, end) for one in intervals]) for end in ("low", "high"))
    name = f"accuracy {accuracy:g}"
    return _coverage_row(
        "Wilson: accuracy on a test set", name, examples, low[places], high[places], accuracy
    )


def _coverage_row(
    name: str, distribution: str, n: int, low: np.ndarray, high: np.ndarray, truth: float
) -> dict[str, Any]:
    # Comparisons with NaN are false, so a missing interval does not cover.
    covered, missing = int(np.sum((low <= truth) & (truth <= high))), float(np.mean(np.isnan(low)))
    rounds = len(low)
    coverage = statistics.accuracy_interval(covered, rounds, ALPHA)
    ok = ACCEPTED[0] <= coverage.estimate <= ACCEPTED[1]
    notes = []
    if not ok:
        notes.append(f"covers too {'little' if coverage.estimate < ACCEPTED[0] else 'much'}")
    if missing > 0:
        notes.append(f"no interval in {missing:.1%} of rounds, which count as not covered")
    return {
        "interval": name,
        "distribution": distribution,
        "n": n,
        "rounds": rounds,
        "coverage": coverage.estimate,
        "low": coverage.low,
        "high": coverage.high,
        "ok": "yes" if ok else "no",
        "note": "; ".join(notes) or None,
    }


def _simulate(
    interval: Interval, distribution: Distribution, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Samples of a shape [rounds, n], and the blocks of their bootstrap distribution, if any."""
    rounds, n = shape
    blocks, values = [], []
    for start in range(0, rounds, TOGETHER):
        count = min(TOGETHER, rounds - start)
        samples = _draw(interval, distribution, (count, n), rng)
        blocks.append(samples)
        if interval.statistic is not None:
            values.append(resampling.distribution(samples, interval.statistic, RESAMPLES, rng))
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)], values


def _draw(
    interval: Interval, distribution: Distribution, shape: tuple[int, int], rng: np.random.Generator
) -> list[np.ndarray]:
    draws = [
        scale * distribution.draw(rng, shape) + shift
        for scale, shift in zip(interval.scales, interval.shifts, strict=True)
    ]
    return interval.reduce(draws)


def _ends(interval: Interval, samples: list[np.ndarray], values: list[np.ndarray]) -> Ends:
    if interval.statistic is None:
        return interval.ends(samples)
    low, high, *_ = interval.ends(samples, interval.statistic, ALPHA, np.concatenate(values))
    return _where_an_interval(low, high)


# ── The intervals ─────────────────────────────────────────────────────────────


def _t_of_mean(samples: list[np.ndarray]) -> Ends:
    interval = stats.ttest_1samp(samples[0], 0.0, axis=-1).confidence_interval(1 - ALPHA)
    return interval.low, interval.high


def _welch(samples: list[np.ndarray]) -> Ends:
    interval = stats.ttest_ind(*samples, equal_var=False, axis=-1).confidence_interval(1 - ALPHA)
    return interval.low, interval.high


def _fisher(samples: list[np.ndarray]) -> Ends:
    each = [statistics.mean_correlation(sample, ALPHA) for sample in samples[0]]
    return np.array([one.low for one in each]), np.array([one.high for one in each])


def _correlations(samples: list[np.ndarray]) -> list[np.ndarray]:
    return [trend.rank_correlations(np.stack(samples, axis=-1))]


def _where_an_interval(low: np.ndarray, high: np.ndarray) -> Ends:
    """NaN where an analysis reports no interval: an end is not finite, or the width is 0."""
    valid = np.isfinite(low) & np.isfinite(high) & (low < high)
    return np.where(valid, low, np.nan), np.where(valid, high, np.nan)


# ── The true values ───────────────────────────────────────────────────────────


def _interquartile_mean(frozen: Any) -> float:
    """The mean of a distribution between its quartiles."""
    return float(frozen.expect(lb=frozen.ppf(0.25), ub=frozen.ppf(0.75), conditional=True))


def _mean_correlation(frozen: Any) -> float:
    """Mean rank correlation of a seed's runs with the order of lambda."""
    return float(np.mean(trend.rank_correlations(_draws_at_lambdas(frozen))))


def _draws_at_lambdas(frozen: Any) -> np.ndarray:
    draws = frozen.rvs(size=(TRUTH_DRAWS, LAMBDAS), random_state=np.random.default_rng(0))
    return draws + STEP * np.arange(LAMBDAS)


_SHIFTS = tuple(STEP * i for i in range(LAMBDAS))

INTERVALS = (
    Interval("t: mean (of differences, of log ratios)", _t_of_mean, lambda d: float(d.mean())),
    Interval(
        "Welch: difference of means, spreads 1 and 2",
        _welch,
        lambda d: float(d.mean() - 2 * d.mean()),
        scales=(1.0, 2.0),
        shifts=(0.0, 0.0),
    ),
    Interval("BCa: mean", bootstrap.bca_ends, lambda d: float(d.mean()), np.mean),
    Interval(
        "BCa: standard deviation",
        bootstrap.bca_ends,
        lambda d: float(d.std()),
        spread.standard_deviation,
    ),
    Interval(
        "BCa: log ratio of standard deviations",
        bootstrap.bca_ends,
        lambda d: 0.0,
        spread.log_sd_ratio,
        scales=(1.0, 1.0),
        shifts=(0.0, 0.0),
    ),
    Interval(
        "z: trend over seeds (mean of Spearman's correlations)",
        _fisher,
        _mean_correlation,
        reduce=_correlations,
        scales=(1.0,) * LAMBDAS,
        shifts=_SHIFTS,
    ),
    Interval(
        "percentile: interquartile mean of two data sets",
        bootstrap.percentile_ends,
        _interquartile_mean,
        aggregate.pooled_interquartile_mean,
        scales=(1.0,) * DATASETS,
        shifts=(0.0,) * DATASETS,
    ),
    Interval(
        "percentile: probability of improvement on two data sets",
        bootstrap.percentile_ends,
        lambda d: 0.5,
        aggregate.mean_superiority,
        scales=(1.0,) * 2 * DATASETS,
        shifts=(0.0,) * 2 * DATASETS,
    ),
)
