"""Trials of claims: each claim becomes one number per seed, and these numbers are tested.

The number is a difference to another lambda, the logarithm of a ratio, or a rank correlation with
lambda. The numbers of different seeds are independent, so the same tests serve all claims:
Student's t-test against the stated value, and two one-sided t-tests against the margin.

For a correlation over all runs the numbers are jackknife pseudo-values, one per seed
(`flatreg.evidence.correlation`). The runs of a seed are not independent, but the pseudo-values
nearly are. Claims about two spreads are the only ones tested otherwise, by an F test.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from flatreg import statistics
from flatreg.evidence import correlation
from flatreg.evidence.ledger import Claim, other_cell
from flatreg.statistics.power import detectable_mean, mean_power

NAN = float("nan")
# Seed of all bootstraps, fixed so that a trial is reproducible.
SEED = 0


class Trial(NamedTuple):
    """A claim tried under one protocol.

    Attributes:
        estimate: of the quantity that the claim is about, in the ledger's scale; `low` and `high`
            are the ends of its 1 - alpha interval.
        effect: Hedges' g, or NaN.
        p: two-sided. The null hypothesis is no effect; if the claim expects none, it is that the
            effect lies within the margin.
        check: name of the distribution-free check; `check_p` is its p.
        equivalence_p: p of two one-sided tests against the margin.
        power: to find an effect as large as the margin at level alpha.
        detectable: smallest effect found with the config's power; for a ratio a factor.
        above: the sign of the effect.
    """

    estimate: float
    low: float
    high: float
    effect: float
    p: float
    check: str | None
    check_p: float
    equivalence_p: float
    power: float
    detectable: float
    n: int
    n_baseline: int | None
    above: int
    comparison: str
    unit: str
    note: str | None


class Sample(NamedTuple):
    """One number per seed, minus the value that the claim states, and a distribution-free check."""

    values: np.ndarray
    check: str
    check_p: float
    effect: float
    n_baseline: int | None


class Levels(NamedTuple):
    """The level of all tests, and the power that an experiment must have."""

    alpha: float
    power: float


def try_claim(claim: Claim, protocol: str, runs: pd.DataFrame, levels: Levels) -> Trial:
    """Try a claim on the runs of one protocol.

    Args:
        claim: of the ledger.
        protocol: one of the claim's protocols.
        runs: of `flatreg.tables.derived.of_runs`.
        levels: of the config's `analysis`.
    """
    if claim.test == "spread":
        return _of_spreads(claim, protocol, runs, levels)
    samples = samples_of(claim, protocol, runs)
    trials = [
        _of_seeds(claim, sample, lambdas, protocol, levels)
        for lambdas, sample in zip(_groups(claim), samples, strict=True)
    ]
    return _worst(trials)


def samples_of(claim: Claim, protocol: str, runs: pd.DataFrame) -> list[Sample]:
    """The samples that a claim is tried on, one per group of lambdas tested together."""
    return [_sample(claim, protocol, runs, lambdas) for lambdas in _groups(claim)]


def runs_of(claim: Claim, protocol: str, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of a trial, by side: "treated" and "baseline", or "run" if there is only one side.

    Diverged runs are included.
    """
    own = _cell(runs, protocol, claim.dataset, claim.lambdas)
    if claim.against is None:
        return {"run": own}
    lam = claim.against.get("lambda")
    other = _cell(runs, *other_cell(claim, protocol), [lam] if lam else claim.lambdas)
    return {"treated": own, "baseline": other}


def _cell(
    runs: pd.DataFrame, protocol: str, dataset: str, lambdas: list[str] | None
) -> pd.DataFrame:
    mask = (runs["protocol"] == protocol) & (runs["dataset"] == dataset)
    return runs[mask if lambdas is None else mask & runs["lambda"].isin(lambdas)]


def _groups(claim: Claim) -> list[list[str] | None]:
    """The lambdas tested together: each on its own in a paired test, else all of the claim."""
    if claim.test == "paired":
        return [[lam] for lam in claim.lambdas or []]
    return [claim.lambdas]


# ── One number per seed ───────────────────────────────────────────────────────


def _sample(claim: Claim, protocol: str, runs: pd.DataFrame, lambdas: list[str] | None) -> Sample:
    sides = runs_of(claim._replace(lambdas=lambdas), protocol, runs)
    match claim.test:
        case "paired":
            return _differences(claim, sides["treated"], sides["baseline"])
        case "mean":
            values = _transformed(claim, sides["run"].set_index("seed")[claim.metric].dropna())
            return _checked(values - _stated(claim), None)
        case "trend":
            return _trends(claim, sides["run"], lambdas or [])
    return _pseudo_values(claim, sides["run"])


def _differences(claim: Claim, treated: pd.DataFrame, baseline: pd.DataFrame) -> Sample:
    ours, theirs = (
        _transformed(claim, side.set_index("seed")[claim.metric].dropna())
        for side in (treated, baseline)
    )
    shared = ours.index.intersection(theirs.index)
    ours, theirs = ours[shared].to_numpy(), theirs[shared].to_numpy()
    sample = _checked(ours - theirs - _stated(claim), len(theirs))
    effect = statistics.hedges_g_paired(ours, theirs) if claim.value is None else NAN
    return sample._replace(effect=effect)


def _transformed(claim: Claim, values: pd.Series) -> pd.Series:
    """The values, or for a claim about a ratio the logarithms of those above 0."""
    return np.log(values[values > 0]) if claim.scale == "ratio" else values


def _stated(claim: Claim) -> float:
    if claim.scale == "ratio":
        return float(np.log(1.0 if claim.value is None else claim.value))
    return 0.0 if claim.value is None else claim.value


def _checked(values: pd.Series | np.ndarray, n_baseline: int | None) -> Sample:
    values = np.asarray(values, float)
    check_p = statistics.compare_mean(values, 0.0, 0.05).wilcoxon_p
    return Sample(values, "Wilcoxon", check_p, NAN, n_baseline)


def _trends(claim: Claim, runs: pd.DataFrame, lambdas: list[str]) -> Sample:
    """Spearman's correlation of the metric with the rank of lambda, one per seed."""
    table = runs.pivot(index="seed", columns="lambda", values=claim.metric)[lambdas]
    blocks = table.dropna().to_numpy(float)
    page = statistics.page_trend(blocks, 0.05, np.random.default_rng(SEED))
    correlations = statistics.rank_correlations(blocks) if len(blocks) else np.empty(0)
    return Sample(correlations, "Page", page.p, NAN, None)


def _pseudo_values(claim: Claim, runs: pd.DataFrame) -> Sample:
    """Kendall's correlation of a measure with its target, jackknifed over seeds."""
    names = claim.metric, str(claim.target)
    if claim.test == "partial_correlation":
        values = correlation.pseudo_values(runs, *names, correlation.CELL)
        return Sample(values, "", NAN, NAN, None)
    known = runs.dropna(subset=list(names))
    values = correlation.pseudo_values(known, *names, correlation.NOTHING)
    check_p = stats.kendalltau(*(known[name] for name in names)).pvalue if len(values) else NAN
    return Sample(values, "Kendall", float(check_p), NAN, None)


# ── The tests ─────────────────────────────────────────────────────────────────


def _of_seeds(
    claim: Claim, sample: Sample, lambdas: list[str] | None, protocol: str, levels: Levels
) -> Trial:
    test = try_seeds(
        sample.values, margin_of(claim), equal=claim.expected == "equal", levels=levels
    )
    back = np.exp if claim.scale == "ratio" else (lambda x: x)
    stated = _stated(claim) if claim.test == "mean" or claim.scale == "ratio" else 0.0
    estimate, low, high = (float(back(x + stated)) for x in test[:3])
    return Trial(
        estimate=estimate,
        low=low,
        high=high,
        effect=sample.effect,
        p=test.p,
        check=sample.check or None,
        check_p=sample.check_p,
        equivalence_p=test.equivalence_p,
        power=_power(test, margin_of(claim), levels.alpha),
        detectable=float(back(detectable_mean(test.n, test.sd, *levels))),
        n=test.n,
        n_baseline=sample.n_baseline,
        above=test.above,
        comparison=_comparison(claim, protocol, lambdas),
        unit=_unit(claim),
        note=test.note,
    )


class SeedsTest(NamedTuple):
    """The tests of one number per seed against 0 and against a margin; fields as in `Trial`."""

    estimate: float
    low: float
    high: float
    p: float
    equivalence_p: float
    above: int
    n: int
    sd: float
    note: str | None


def try_seeds(values: np.ndarray, margin: float, *, equal: bool, levels: Levels) -> SeedsTest:
    """Test one number per seed [n] against 0 and against a margin around 0.

    Args:
        values: n from 0.
        margin: above 0.
        equal: the null hypothesis of p is that the mean is within the margin, not that it is 0.
            Only an effect beyond the margin contradicts a claim of equality.
        levels: of the config's `analysis`.
    """
    n = len(values)
    mean = statistics.compare_mean(values, 0.0, levels.alpha)
    if n < 2:
        note = f"a test needs at least two seeds with a value on either side, and there are {n}"
        return SeedsTest(mean.estimate, *[NAN] * 4, 0, n, NAN, note)
    within = statistics.equivalence_of_mean(values, 0.0, margin, levels.alpha)
    flat = np.isnan(mean.p)
    against_none = mean.sign_p if flat else mean.p
    if equal:
        against_none = _beyond(values, margin) if flat else _outside(within)
    return SeedsTest(
        estimate=mean.estimate,
        low=mean.low,
        high=mean.high,
        p=float(against_none),
        equivalence_p=within.p,
        above=int(np.sign(mean.estimate)),
        n=n,
        sd=0.0 if flat else mean.sd,
        note=within.note if flat else None,
    )


def _power(test: SeedsTest, margin: float, alpha: float) -> float:
    """Power to find a mean as large as the margin; that of the sign test if seeds do not vary."""
    if test.n < 2:
        return NAN
    if test.sd == 0:
        return float(2 * 0.5**test.n <= alpha)
    return mean_power(test.n, margin / test.sd, alpha)


def _outside(within: statistics.Equivalence) -> float:
    """P of the null hypothesis that the mean lies within the margin, from the one-sided tests."""
    return min(1.0, 2 * min(1 - within.p_low, 1 - within.p_high))


def _beyond(values: np.ndarray, margin: float) -> float:
    """The same p by a sign test, for the case that all values are equal."""
    return 2 * 0.5 ** len(values) if abs(values[0]) > margin else 1.0


def _of_spreads(claim: Claim, protocol: str, runs: pd.DataFrame, levels: Levels) -> Trial:
    """Compare two standard deviations by an F test, checked by Brown and Forsythe's test."""
    ours, theirs = (
        side[claim.metric].dropna().to_numpy(float)
        for side in runs_of(claim, protocol, runs).values()
    )
    comparison, unit = _comparison(claim, protocol, claim.lambdas), _unit(claim)
    sizes = len(ours), len(theirs)
    if min(sizes) < 2 or statistics.agree(ours) or statistics.agree(theirs):
        note = f"two spreads need two runs that vary on either side; runs: {sizes[0]}, {sizes[1]}"
        return Trial(*[NAN] * 5, None, *[NAN] * 4, *sizes, 0, comparison, unit, note)
    ratio = float(np.var(ours, ddof=1) / np.var(theirs, ddof=1))
    f = stats.f(sizes[0] - 1, sizes[1] - 1)
    check = statistics.compare_spread(ours, theirs, levels.alpha, np.random.default_rng(SEED))
    low, high = np.sqrt(ratio / f.ppf([1 - levels.alpha / 2, levels.alpha / 2]))
    margin = claim.margin**2
    return Trial(
        estimate=float(np.sqrt(ratio)),
        low=float(low),
        high=float(high),
        effect=NAN,
        p=float(2 * min(f.sf(ratio), f.cdf(ratio))),
        check="Brown-Forsythe",
        check_p=check.p,
        equivalence_p=float(max(f.cdf(ratio / margin), f.sf(ratio * margin))),
        power=_power_of_f(margin, f, levels.alpha),
        detectable=NAN,
        n=sizes[0],
        n_baseline=sizes[1],
        above=int(np.sign(ratio - 1)),
        comparison=comparison,
        unit=unit,
        note=None,
    )


def _power_of_f(margin: float, f: stats.rv_continuous, alpha: float) -> float:
    """Power of the two-sided F test if one variance is `margin` times the other."""
    low, high = f.ppf([alpha / 2, 1 - alpha / 2])
    return float(f.sf(high / margin) + f.cdf(low / margin))


def _worst(trials: list[Trial]) -> Trial:
    """One trial for several lambdas, all expected to be equal: the one with the weakest evidence.

    All lambdas must lie within the margin, so the largest equivalence p is valid without correction
    (an intersection-union test). The smallest p, that any lambda lies beyond the margin, is
    corrected for the number of lambdas (Bonferroni).
    """
    if len(trials) == 1:
        return trials[0]
    worst = max(trials, key=lambda trial: np.nan_to_num(trial.equivalence_p, nan=2.0))
    smallest = np.nanmin([trial.p for trial in trials] + [1.0])
    return worst._replace(p=float(min(1.0, len(trials) * smallest)))


def margin_of(claim: Claim) -> float:
    """The margin on the scale of the numbers per seed."""
    return float(np.log(claim.margin)) if claim.scale == "ratio" else claim.margin


def _comparison(claim: Claim, protocol: str, lambdas: list[str] | None) -> str:
    """A short description of what is compared with what."""
    names = f"lambda {', '.join(lambdas)}" if lambdas else "all lambdas"
    value = "" if claim.value is None else f" against {claim.value:g}"
    if claim.test == "trend":
        return f"trend over {names}"
    if claim.target is not None:
        held = ", lambda held fixed" if claim.test == "partial_correlation" else ""
        return f"correlation with {claim.target}{held}"
    if claim.against is None:
        return f"{names}{value}"
    against = {key: name for key, name in claim.against.items() if name is not None}
    other = ", ".join(f"{key} {name}" for key, name in against.items())
    several = f", the worst of {len(claim.lambdas or [])}" if len(claim.lambdas or []) > 1 else ""
    return f"{names} to {other}{value}{several}"


def _unit(claim: Claim) -> str:
    if claim.test == "trend":
        return "Spearman's rho"
    if claim.target is not None:
        return "Kendall's tau"
    if claim.scale == "ratio":
        return "ratio"
    return "share of examples" if "accuracy" in claim.metric else claim.metric
