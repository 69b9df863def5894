"""Trials of claims: each claim becomes one number per seed, and these numbers are tested.

The number is a difference to another lambda, the logarithm of a ratio, or a rank correlation with
lambda. For a correlation over all runs it is a jackknife pseudo-value
(`flatreg.evidence.correlation`): the runs of a seed are not independent, but the pseudo-values
nearly are. For a claim about time it is the ratio of a round of the bench. The numbers are
independent, or from random splits of one data set, so the same tests serve all claims: one-sided
t-tests against the ends of the margin (`flatreg.statistics.margin`). Claims about two spreads are
the only ones tested otherwise, by F tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from flatreg import statistics
from flatreg.config import Config
from flatreg.evidence import bench, correlation
from flatreg.evidence.ledger import DIVERGED, Claim, interval_of, other_cell
from flatreg.evidence.plans import MeanPlan, Plan, SpreadPlan
from flatreg.statistics import MarginTest

NAN = float("nan")
# Seeds that must have the same value before it counts as what seeds do.
ALIKE = 5
# Where an effect lies.
ABOVE, WITHIN, BELOW = "above", "within", "below"


class Evidence(NamedTuple):
    """What claims are tried on.

    Attributes:
        study: completed config.
        runs: of `flatreg.tables.derived.of_runs`.
        commonest: share of the commonest class in the test split, by source.
        timed: what `make bench` measured.
    """

    study: Config
    runs: pd.DataFrame
    commonest: dict[str, float]
    timed: Path | None = None


class Trial(NamedTuple):
    """A claim tried under one protocol.

    Attributes:
        estimate: of the quantity that the claim is about, in the ledger's scale; `low` and `high`
            are the ends of its 1 - alpha interval, and `largest` is the value of a seed that is
            furthest from none.
        effect: Hedges' g, or NaN.
        test: the numbers per seed against the margin, in the unit of the test. With several
            lambdas its p are about all of them; see `worst_of`.
        plan: what the test could have shown.
        seen: where the values lie if they are all equal in enough seeds: they have no p.
        check: name of the distribution-free check; `check_p` is its two-sided p.
    """

    estimate: float
    low: float
    high: float
    largest: float
    effect: float
    test: MarginTest
    plan: Plan
    seen: str | None
    check: str | None
    check_p: float
    n: int
    n_baseline: int | None
    comparison: str
    unit: str
    note: str | None


class Sample(NamedTuple):
    """One number per seed, minus the value that the claim states.

    Attributes:
        values: the numbers.
        scale: largest magnitude of what they are differences of.
        overlap: of the splits; see `flatreg.statistics.margin`.
    """

    values: np.ndarray
    scale: float
    overlap: float = 0.0
    check: str | None = None
    check_p: float = NAN
    effect: float = NAN
    n_baseline: int | None = None


def try_claim(claim: Claim, protocol: str, evidence: Evidence, alpha: float) -> Trial:
    """Try a claim on the runs of one protocol.

    Args:
        claim: of the ledger.
        protocol: one of the claim's protocols.
        evidence: the runs, the study and the bench.
        alpha: the interval covers 1 - alpha.
    """
    if claim.test == "spread":
        return _of_spreads(claim, protocol, evidence, alpha)
    return worst_of(
        [
            try_sample(claim, _sample(claim, protocol, evidence, lambdas), alpha)._replace(
                comparison=_comparison(claim, protocol, evidence, lambdas)
            )
            for lambdas in _groups(claim)
        ]
    )


def runs_of(claim: Claim, protocol: str, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of a trial, by side: "treated" and "baseline", or "run" if there is only one side.

    Diverged runs are included. A claim about time has no runs.
    """
    if claim.test == "bench":
        return {"run": runs.iloc[:0]}
    own = cell_of(runs, protocol, claim.dataset, claim.lambdas)
    if claim.against is None:
        return {"run": own}
    lam = claim.against.get("lambda")
    other = cell_of(runs, *other_cell(claim, protocol), [lam] if lam else claim.lambdas)
    return {"treated": own, "baseline": other}


def cell_of(
    runs: pd.DataFrame, protocol: str, dataset: str, lambdas: list[str] | None
) -> pd.DataFrame:
    """The runs of a protocol and data set at these lambdas, or at all."""
    mask = (runs["protocol"] == protocol) & (runs["dataset"] == dataset)
    return runs[mask if lambdas is None else mask & runs["lambda"].isin(lambdas)]


def overlap_of(runs: pd.DataFrame, study: Config, metric: str) -> float:
    """Test over training examples of runs whose test split varies with the seed; else 0.

    Random splits of one data set share most of their training examples, so what is measured on
    their test examples is correlated (Nadeau and Bengio 2003). Curvature is measured on training
    examples, and a claim on it is about networks trained on this data set, not about other data: 0.
    """
    if not of_test_examples(metric):
        return 0.0
    cells = dict.fromkeys(zip(runs["protocol"], runs["dataset"], strict=True))
    varies = [study["protocols"][p]["datasets"][d]["varies"] for p, d in cells]
    if not any("test_split" in causes for causes in varies):
        return 0.0
    return float((runs["test_examples"] / runs["train_examples"]).mean())


def of_test_examples(metric: str | None) -> bool:
    """Whether a metric is measured on test examples."""
    return "test" in str(metric) or str(metric).endswith("gap")


def _groups(claim: Claim) -> list[list[str] | None]:
    """The groups of lambdas that are tested together."""
    if claim.test == "trend" or claim.lambdas is None:
        return [claim.lambdas]
    return [[lam] for lam in claim.lambdas]


# ── Numbers per seed ──────────────────────────────────────────────────────────


def _sample(claim: Claim, protocol: str, evidence: Evidence, lambdas: list[str] | None) -> Sample:
    if claim.test == "bench":
        return _rounds(claim, protocol, evidence)
    sides = runs_of(claim._replace(lambdas=lambdas), protocol, evidence.runs)
    overlap = overlap_of(pd.concat(sides.values()), evidence.study, str(claim.metric))
    match claim.test:
        case "paired":
            sample = _differences(claim, sides["treated"], sides["baseline"])
        case "mean":
            values = _transformed(claim, sides["run"].set_index("seed")[claim.metric].dropna())
            sample = Sample((values - _stated(claim)).to_numpy(float), _size(claim, values))
        case "trend":
            sample = _trends(claim, sides["run"], lambdas or [])
        case _:
            sample = _pseudo_values(claim, sides["run"])
    if claim.test in ("paired", "mean") and not overlap:
        # Signed ranks need independent values.
        p = statistics.wilcoxon_p(sample.values, sample.scale)
        sample = sample._replace(check="Wilcoxon", check_p=p)
    return sample._replace(overlap=overlap)


def _rounds(claim: Claim, protocol: str, evidence: Evidence) -> Sample:
    """Logarithms of the ratios of the bench, one per round."""
    cost, interval = bench.read(evidence.timed), interval_of(claim, protocol, evidence.study)
    ratios = bench.rounds_of(cost, claim.dataset, str(claim.way), interval)
    values = np.log(ratios) - _stated(claim)
    return Sample(values, 1.0, check="Wilcoxon", check_p=statistics.wilcoxon_p(values, 1.0))


def _differences(claim: Claim, treated: pd.DataFrame, baseline: pd.DataFrame) -> Sample:
    ours, theirs = (
        _transformed(claim, side.set_index("seed")[claim.metric].dropna())
        for side in (treated, baseline)
    )
    shared = ours.index.intersection(theirs.index)
    ours, theirs = ours[shared], theirs[shared]
    both = ours.to_numpy(float), theirs.to_numpy(float)
    return Sample(
        both[0] - both[1] - _stated(claim),
        max(_size(claim, ours), _size(claim, theirs)),
        effect=statistics.hedges_g_paired(*both) if claim.value is None else NAN,
        n_baseline=len(theirs),
    )


def _transformed(claim: Claim, values: pd.Series) -> pd.Series:
    """The values, or for a claim about a ratio the logarithms of those above 0."""
    return np.log(values[values > 0]) if claim.scale == "ratio" else values


def _size(claim: Claim, values: pd.Series) -> float:
    """Largest magnitude of the values and of what the claim states; of logarithms at least 1."""
    least = 1.0 if claim.scale == "ratio" else abs(_stated(claim))
    return float(np.max(np.abs(values.to_numpy(float)), initial=least))


def _stated(claim: Claim) -> float:
    if claim.scale == "ratio":
        return float(np.log(1.0 if claim.value is None else claim.value))
    return 0.0 if claim.value is None else claim.value


def _trends(claim: Claim, runs: pd.DataFrame, lambdas: list[str]) -> Sample:
    """Spearman's correlation of the metric with the rank of lambda, one per seed."""
    table = runs.pivot(index="seed", columns="lambda", values=claim.metric)
    blocks = table.reindex(columns=lambdas).dropna().to_numpy(float)
    page = statistics.page_test(blocks)
    correlations = statistics.rank_correlations(blocks) if len(blocks) else np.empty(0)
    p = float(np.minimum(1.0, 2 * np.minimum(page.p_rising, page.p_falling)))
    return Sample(correlations, 1.0, check="Page", check_p=p)


def _pseudo_values(claim: Claim, runs: pd.DataFrame) -> Sample:
    """Kendall's correlation of a measure with its target, jackknifed over seeds."""
    names = str(claim.metric), str(claim.target)
    if claim.test == "partial_correlation":
        return Sample(correlation.pseudo_values(runs, *names, correlation.CELL), 1.0)
    known = runs.dropna(subset=list(names))
    values = correlation.pseudo_values(known, *names, correlation.NOTHING)
    p = stats.kendalltau(*(known[name] for name in names)).pvalue if len(values) else NAN
    return Sample(values, 1.0, check="Kendall", check_p=float(p))


# ── The tests ─────────────────────────────────────────────────────────────────


def try_sample(claim: Claim, sample: Sample, alpha: float) -> Trial:
    """Try a claim on one sample; the trial does not say yet what is compared with what."""
    margin = margin_of(claim)
    if correlates(claim):
        test = statistics.correlation_margin_test(
            sample.values, margin, alpha, overlap=sample.overlap
        )
        numbers = test.estimate, test.low, test.high, test.largest
        plan = _plan_of_correlation(test, margin, sample.overlap)
    else:
        test = statistics.margin_test(
            sample.values, margin, alpha, overlap=sample.overlap, scale=sample.scale
        )
        ends = np.array([test.estimate, test.low, test.high, test.largest]) + _stated(claim)
        numbers = tuple(map(float, np.exp(ends) if claim.scale == "ratio" else ends))
        plan = MeanPlan(test.n, test.estimate, test.sd, margin, sample.overlap)
    return Trial(
        *numbers,
        effect=sample.effect,
        test=test,
        plan=plan,
        seen=_seen(test, margin),
        check=sample.check,
        check_p=sample.check_p,
        n=test.n,
        n_baseline=sample.n_baseline,
        comparison="",
        unit=_unit(claim),
        note=test.note,
    )


def _plan_of_correlation(test: MarginTest, margin: float, overlap: float) -> MeanPlan:
    """The plan in the unit of Fisher's z; see `flatreg.statistics.margin`."""
    z_margin = float(np.arctanh(margin))
    if not test.sd > 0:
        return MeanPlan(test.n, test.estimate, test.sd, z_margin)
    z, slope = float(np.arctanh(test.estimate)), 1 / (1 - test.estimate**2)
    return MeanPlan(test.n, z, slope * test.sd, z_margin, overlap)


def _seen(test: MarginTest, margin: float) -> str | None:
    """Where values lie that are equal in at least `ALIKE` seeds and so have no p."""
    if test.sd != 0 or test.n < ALIKE or not np.isnan(test.p_above):
        return None
    if test.estimate > margin:
        return ABOVE
    if test.estimate < -margin:
        return BELOW
    return WITHIN if abs(test.estimate) < margin else None


def _of_spreads(claim: Claim, protocol: str, evidence: Evidence, alpha: float) -> Trial:
    """Compare two standard deviations by F tests, checked by Brown and Forsythe's test.

    Values from random splits of one data set vary less among themselves than over data sets: with
    the correlation that `flatreg.statistics.margin` assumes, by the root of 1 + overlap.
    """
    sides = runs_of(claim, protocol, evidence.runs).values()
    ours, theirs = (
        side[claim.metric].dropna().to_numpy(float)
        * np.sqrt(1 + overlap_of(side, evidence.study, str(claim.metric)))
        for side in sides
    )
    comparison = _comparison(claim, protocol, evidence, claim.lambdas)
    return try_spreads(claim, ours, theirs, alpha)._replace(comparison=comparison)


def try_spreads(claim: Claim, ours: np.ndarray, theirs: np.ndarray, alpha: float) -> Trial:
    """Try a claim on two independent samples [n] and [m]; otherwise like `try_sample`."""
    test = statistics.spread_margin_test(ours, theirs, claim.margin, alpha)
    effect = float(np.log(test.estimate))
    return Trial(
        *(test.estimate, test.low, test.high, NAN),
        effect=NAN,
        test=test,
        plan=SpreadPlan(len(ours), len(theirs), effect, margin_of(claim)),
        seen=None,
        check="Brown-Forsythe",
        check_p=statistics.brown_forsythe_p(ours, theirs),
        n=len(ours),
        n_baseline=len(theirs),
        comparison="",
        unit=_unit(claim),
        note=test.note,
    )


def worst_of(trials: list[Trial]) -> Trial:
    """One trial for several lambdas, all expected to be equal: the one with the weakest evidence.

    All lambdas must lie within the margin, so the largest p against either end is valid without
    correction (an intersection-union test). The smallest p, that any lambda lies beyond the margin,
    is multiplied by the number of lambdas (Bonferroni). A lambda whose runs are those of the
    baseline in every seed needs no test.
    """
    largest = max((trial.largest for trial in trials), key=abs)
    tried = [trial for trial in trials if trial.seen != WITHIN] or trials
    worst = max(tried, key=_misfit)
    if np.isnan(worst.test.p_above):
        return worst._replace(largest=largest)
    tests = [trial.test for trial in tried]
    combined = worst.test._replace(
        p_above=min(1.0, len(tests) * min(test.p_above for test in tests)),
        p_below=min(1.0, len(tests) * min(test.p_below for test in tests)),
        p_not_above=max(test.p_not_above for test in tests),
        p_not_below=max(test.p_not_below for test in tests),
    )
    return worst._replace(test=combined, largest=largest)


def _misfit(trial: Trial) -> float:
    """How badly a trial fits a claim that nothing differs."""
    p = trial.test.p_within
    return 2.0 if np.isnan(p) else p


def margin_of(claim: Claim) -> float:
    """The margin in the unit of the numbers per seed."""
    return float(np.log(claim.margin)) if claim.scale == "ratio" else claim.margin


def correlates(claim: Claim) -> bool:
    """Whether a claim is about a correlation: with lambda, or with its target."""
    return claim.test == "trend" or claim.target is not None


def _comparison(claim: Claim, protocol: str, evidence: Evidence, lambdas: list[str] | None) -> str:
    """A short description of what is compared with what."""
    names = f"lambda {', '.join(lambdas)}" if lambdas else "all lambdas"
    value = "" if claim.value is None else f" against {claim.value:g}"
    if claim.test == "bench":
        every = interval_of(claim, protocol, evidence.study)
        return f"{claim.way}, every {every} steps, to a plain step{value}"
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
    if claim.metric == DIVERGED:
        return "share of runs"
    return "share of examples" if "accuracy" in str(claim.metric) else str(claim.metric)
