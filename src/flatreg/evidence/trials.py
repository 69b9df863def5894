"""How a claim is tried: the runs it is about become one number a seed, and that is tested.

A difference to another lambda, the logarithm of a ratio, a rank correlation with lambda: each seed
has one, drawn independently of the other seeds', so that one test serves all of them, Student's
against the stated value and two one-sided ones against the margin. A correlation over all runs is
taken apart by seeds with the jackknife (`flatreg.evidence.correlation`): its runs share what a seed
fixes and are not independent, the pseudo-values nearly are. Only two spreads are compared
otherwise.
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
# Of the bootstraps and permutations; a trial is the same whenever it is repeated.
SEED = 0


class Trial(NamedTuple):
    """A claim tried under one protocol.

    Attributes:
        estimate: what the claim is about, in the ledger's scale, with its 1 - alpha interval.
        effect: Hedges' g, or NaN.
        p: two-sided, against no effect, or where none is expected against any within the margin.
        check: name of the distribution-free check, and its p.
        equivalence_p: of two one-sided tests against the margin.
        power: to find an effect of the margin at level alpha.
        detectable: smallest effect found at the wanted power; of a ratio a factor.
        above: the sign of the effect, 0 where there is none.
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
    """One number a seed less what the claim states (0 or a logarithm's 0), and the check of it."""

    values: np.ndarray
    check: str
    check_p: float
    effect: float
    n_baseline: int | None


class Levels(NamedTuple):
    """The level of all tests, and the power that an experiment should have."""

    alpha: float
    power: float


def try_claim(claim: Claim, protocol: str, runs: pd.DataFrame, levels: Levels) -> Trial:
    """Try a claim on the runs of one protocol.

    Args:
        claim: of the ledger.
        protocol: one that the claim names.
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
    """The numbers a seed that a claim is tried on, for each of its lambdas that is tried apart."""
    return [_sample(claim, protocol, runs, lambdas) for lambdas in _groups(claim)]


def runs_of(claim: Claim, protocol: str, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs behind a trial by side: "treated" and "baseline", or "run" where there is but one.

    Diverged runs are among them.
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
    chosen = (runs["protocol"] == protocol) & (runs["dataset"] == dataset)
    return runs[chosen if lambdas is None else chosen & runs["lambda"].isin(lambdas)]


def _groups(claim: Claim) -> list[list[str] | None]:
    """The lambdas that are tried together: all of a trend, one after another of differences."""
    if claim.test == "paired":
        return [[lam] for lam in claim.lambdas or []]
    return [claim.lambdas]


# ── One number a seed ─────────────────────────────────────────────────────────


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
    done = _checked(ours - theirs - _stated(claim), len(theirs))
    effect = statistics.hedges_g_paired(ours, theirs) if claim.value is None else NAN
    return done._replace(effect=effect)


def _transformed(claim: Claim, values: pd.Series) -> pd.Series:
    """The values, of a ratio's claim their logarithms; what is not above 0 has none."""
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
    """Spearman's correlation of the metric with the rank of lambda, a seed each."""
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
    found = try_seeds(
        sample.values, margin_of(claim), equal=claim.expected == "equal", levels=levels
    )
    back = np.exp if claim.scale == "ratio" else (lambda x: x)
    stated = _stated(claim) if claim.test == "mean" or claim.scale == "ratio" else 0.0
    estimate, low, high = (float(back(x + stated)) for x in found[:3])
    return Trial(
        estimate=estimate,
        low=low,
        high=high,
        effect=sample.effect,
        p=found.p,
        check=sample.check or None,
        check_p=sample.check_p,
        equivalence_p=found.equivalence_p,
        power=_power(found, margin_of(claim), levels.alpha),
        detectable=float(back(detectable_mean(found.n, found.sd, *levels))),
        n=found.n,
        n_baseline=sample.n_baseline,
        above=found.above,
        comparison=_comparison(claim, protocol, lambdas),
        unit=_unit(claim),
        note=found.note,
    )


class SeedsTest(NamedTuple):
    """One number a seed, tested against 0 and against a margin; fields as of `Trial`."""

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
    """Test one number a seed [n] against 0 and against the margin on either side of it.

    Args:
        values: n from 0.
        margin: above 0.
        equal: p is against any mean within the margin, not against 0 alone: what contradicts a
            claim of equality must be an effect that counts.
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


def _power(found: SeedsTest, margin: float, alpha: float) -> float:
    """Power to find a mean of the margin; of the sign test where the seeds do not vary."""
    if found.n < 2:
        return NAN
    if found.sd == 0:
        return float(2 * 0.5**found.n <= alpha)
    return mean_power(found.n, margin / found.sd, alpha)


def _outside(within: statistics.Equivalence) -> float:
    """P that the mean lies within the margin, from the tests that it lies beyond either end."""
    return min(1.0, 2 * min(1 - within.p_low, 1 - within.p_high))


def _beyond(values: np.ndarray, margin: float) -> float:
    """The same where all values are equal: by signs against the margin."""
    return 2 * 0.5 ** len(values) if abs(values[0]) > margin else 1.0


def _of_spreads(claim: Claim, protocol: str, runs: pd.DataFrame, levels: Levels) -> Trial:
    """Two standard deviations: F of their ratio, checked by Brown-Forsythe."""
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
    """Power of the two-sided F test where one variance is `margin` times the other."""
    low, high = f.ppf([alpha / 2, 1 - alpha / 2])
    return float(f.sf(high / margin) + f.cdf(low / margin))


def _worst(trials: list[Trial]) -> Trial:
    """Of several lambdas that should all be equal, the one that is least surely so.

    All must be within the margin, so the largest p of equivalence is that of all (an intersection
    of alternatives needs no correction); that one of them is beyond it, is corrected for their
    number.
    """
    if len(trials) == 1:
        return trials[0]
    worst = max(trials, key=lambda trial: np.nan_to_num(trial.equivalence_p, nan=2.0))
    smallest = np.nanmin([trial.p for trial in trials] + [1.0])
    return worst._replace(p=float(min(1.0, len(trials) * smallest)))


def margin_of(claim: Claim) -> float:
    """The margin on the scale of the numbers a seed."""
    return float(np.log(claim.margin)) if claim.scale == "ratio" else claim.margin


def _comparison(claim: Claim, protocol: str, lambdas: list[str] | None) -> str:
    """In a few words what is held against what."""
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
