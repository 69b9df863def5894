"""How often a family of claims gets a false outcome, if the true effects are known.

The numbers per seed of every trial of the ledger are drawn at random, with its test, its lambdas
and its number of seeds, and are judged as the ledger judges them. An outcome is false if it
excludes the true effect: an effect within its margin that is called supported, one beyond it that
is called none. A family counts as false once, however many of its outcomes are. The truths put
effects where errors are most likely: just inside an end of the margin and just outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, special

from flatreg import config, statistics
from flatreg.config import Config
from flatreg.disk.files import read_json
from flatreg.evidence import judge, ledger
from flatreg.evidence.ledger import Claim
from flatreg.evidence.trials import (
    ABOVE,
    BELOW,
    WITHIN,
    Sample,
    Trial,
    margin_of,
    of_test_examples,
    try_sample,
    try_spreads,
    worst_of,
)
from flatreg.tables.evidence import (
    EXCLUDED,
    FALSE_OUTCOMES_TABLE,
    FAMILIES,
    NO_EFFECT,
    REVERSED,
    ROBUSTNESS,
    SUPPORTED,
    UNDETERMINED,
)

# Distance of a true effect from the end of the margin, in margins.
NEXT_TO = 1e-6
# True effects in margins, in the direction that each claim expects; one is drawn for each claim.
TRUTHS = {
    "no effect": (0.0,),
    "just inside the margin": (1 - NEXT_TO,),
    "just outside the margin": (1 + NEXT_TO,),
    "mixed": (0.0, 1 - NEXT_TO, 1 + NEXT_TO, NEXT_TO - 1, -1 - NEXT_TO, 3.0),
}
# How the numbers of the seeds are distributed, and under which truths that is tried.
DISTRIBUTIONS = {
    "normal": list(TRUTHS),
    "few values": ["mixed"],
    "skewed": ["mixed"],
    "runs diverge": ["mixed"],
}
# Standard deviation over seeds, in margins.
SPREAD = 1.0
# Share of the runs that diverge.
DIVERGED = 0.2
# Test over training examples of splits that vary with the seed; rounds of the bench.
OVERLAP, BENCH_ROUNDS = 0.28, 10
# Correlations do not go beyond this.
LARGEST_CORRELATION = 0.9


def simulate(
    study: Config,
    ledger_paths: list[Path],
    schema_paths: list[Path],
    bench_paths: list[Path],
    *,
    seed: int,
) -> tuple[pd.DataFrame]:
    """FALSE_OUTCOMES_TABLE: one row per family, truth and distribution.

    Args:
        study: the completed config, with the number of rounds per row.
        ledger_paths: the ledger (YAML), one file.
        schema_paths: its JSON schema, one file.
        bench_paths: what `make bench` measured, one file.
        seed: of all random draws.
    """
    (path,), (schema,), (timed,) = ledger_paths, schema_paths, bench_paths
    claims = ledger.read(path, read_json(schema), study, timed)
    rounds, alpha = study["calibration"]["rounds"], study["analysis"]["alpha"]
    trials = [of_claim(claim, name, study) for claim in claims for name in claim.protocols]
    rows = [
        row(members, truth, distribution, rounds, alpha, np.random.default_rng([seed, k]))
        for k, (family, truth, distribution) in enumerate(_combinations())
        if (members := [trial for trial in trials if trial.family == family])
    ]
    return (pd.DataFrame(rows, columns=list(FALSE_OUTCOMES_TABLE.columns)),)


def _combinations() -> list[tuple[str, str, str]]:
    return [
        (family, truth, distribution)
        for family in (*FAMILIES, ROBUSTNESS)
        for distribution, truths in DISTRIBUTIONS.items()
        for truth in truths
    ]


class Simulated(NamedTuple):
    """A claim, and what its trial under a protocol has to go on.

    Attributes:
        claim: of the ledger.
        family: of tests that the trial belongs to.
        sizes: numbers of seeds: of a spread on either side, else one.
        overlap: of the splits; see `flatreg.statistics.margin`.
    """

    claim: Claim
    family: str
    sizes: list[int]
    overlap: float


def of_claim(claim: Claim, protocol: str, study: Config) -> Simulated:
    """A claim with the seeds of a protocol."""
    family = claim.family_under(protocol)
    if claim.test == "bench":
        return Simulated(claim, family, [BENCH_ROUNDS], 0.0)
    varies = study["protocols"][protocol]["datasets"][claim.dataset]["varies"]
    overlap = OVERLAP if "test_split" in varies and of_test_examples(claim.metric) else 0.0
    cells = [(protocol, claim.dataset)]
    if claim.test == "spread":
        cells.append(ledger.other_cell(claim, protocol))
    return Simulated(claim, family, [len(config.seeds(study, *cell)) for cell in cells], overlap)


def row(
    members: list[Simulated],
    truth: str,
    distribution: str,
    rounds: int,
    alpha: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How often one family has a false outcome."""
    effects = rng.choice(TRUTHS[truth], len(members))
    drawn = [
        draw(member, effect, distribution, rounds, rng)
        for member, effect in zip(members, effects, strict=True)
    ]
    false = determined = 0
    for samples in zip(*drawn, strict=True):
        trials = [trial_of(*pair, alpha) for pair in zip(members, samples, strict=True)]
        adjusted, _ = judge.adjust([trial.test.nulls() for trial in trials], alpha)
        outcomes = [
            judge.verdict(member.claim.expected, trial, p, alpha)
            for member, trial, p in zip(members, trials, adjusted, strict=True)
        ]
        false += any(
            is_false(member.claim.expected, outcome, effect)
            for member, outcome, effect in zip(members, outcomes, effects, strict=True)
        )
        determined += sum(outcome != UNDETERMINED for outcome in outcomes)
    share = statistics.accuracy_interval(false, rounds, 0.05)
    return {
        "family": members[0].family,
        "truth": truth,
        "distribution": distribution,
        "claims": len(members),
        "rounds": rounds,
        "false": share.estimate,
        "low": share.low,
        "high": share.high,
        "ok": "yes" if share.high <= alpha else "no",
        "determined": determined / (rounds * len(members)),
    }


def is_false(expected: str, outcome: str, effect: float) -> bool:
    """Whether an outcome excludes the true effect.

    Args:
        expected: by the claim: higher, lower or equal.
        outcome: a verdict.
        effect: the true one, in margins and in the direction that the claim expects.
    """
    where = ABOVE if effect > 1 else BELOW if effect < -1 else WITHIN
    if expected == "equal":
        left = {SUPPORTED: {WITHIN}, REVERSED: {ABOVE, BELOW}}
    else:
        left = {
            SUPPORTED: {ABOVE},
            REVERSED: {BELOW},
            NO_EFFECT: {WITHIN},
            EXCLUDED: {WITHIN, BELOW},
        }
    return where not in left.get(outcome, {where})


def trial_of(member: Simulated, samples: list[np.ndarray], alpha: float) -> Trial:
    """Try a claim on simulated numbers; see `draw`."""
    claim = member.claim
    known = [sample[~np.isnan(sample)] for sample in samples]
    if claim.test == "spread":
        return try_spreads(claim, *known, alpha)
    scale = margin_of(claim)
    return worst_of(
        [try_sample(claim, Sample(values, scale, member.overlap), alpha) for values in known]
    )


# ── The numbers of the seeds ──────────────────────────────────────────────────


def draw(
    member: Simulated, effect: float, distribution: str, rounds: int, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """Samples of each round: one per lambda that is tested on its own; of a spread, both sides.

    Args:
        member: a claim.
        effect: the true one, in margins and in the direction that the claim expects.
        distribution: one of `DISTRIBUTIONS`.
        rounds: to draw.
        rng: generator of the draws.
    """
    claim = member.claim
    margin = margin_of(claim)
    true = effect * margin * (-1 if claim.expected == "lower" else 1)
    if claim.test == "spread":
        noise = [_noise(distribution, (rounds, n), rng) for n in member.sizes]
        samples = [np.exp(true) * noise[0], noise[1]]
    elif claim.test == "trend":
        shape = rounds, member.sizes[0], len(claim.lambdas or [])
        samples = [_rank_correlations(_within_range(true), shape, rng)]
    else:
        samples = _means(member, true, distribution, rounds, rng)
    if distribution == "runs diverge":
        for sample in samples:
            sample[rng.random(sample.shape) < DIVERGED] = np.nan
    return [list(one) for one in zip(*samples, strict=True)]


def _means(
    member: Simulated, true: float, distribution: str, rounds: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Samples [rounds, n] with the true mean, one per lambda; all share their baseline."""
    claim, (n,) = member.claim, member.sizes
    if claim.target is not None:
        true = _within_range(true)
    # What all splits of one data set have in common; see `flatreg.statistics.margin`.
    shared = np.sqrt(member.overlap) * rng.standard_normal((rounds, 1))
    noise = _noise(distribution, (rounds, n), rng)
    numbers = [noise]
    if claim.test in ("paired", "bench"):
        treated = (_noise(distribution, (rounds, n), rng) for _ in claim.lambdas or [""])
        numbers = [(each - noise) / np.sqrt(2) for each in treated]
    return [true + SPREAD * margin_of(claim) * (each + shared) for each in numbers]


def _noise(distribution: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """What independent runs measure, with mean 0 and a standard deviation of about 1."""
    if distribution == "skewed":
        # A skewness of 1; that of 26 runs of a cell on Breast Cancer is at most 0.8.
        return (rng.standard_gamma(4.0, shape) - 4.0) / 2
    values = rng.standard_normal(shape)
    # Like accuracies on few examples.
    return np.round(values) if distribution == "few values" else values


def _rank_correlations(
    true: float, shape: tuple[int, int, int], rng: np.random.Generator
) -> np.ndarray:
    """Spearman's correlations [rounds, n] with the true mean, of k normal values that rise.

    The mean rank of a column counts the columns that are probably below it.
    """
    order = np.arange(shape[-1]) - (shape[-1] - 1) / 2

    def mean(step: float) -> float:
        below = special.ndtr(step * np.subtract.outer(order, order) / np.sqrt(2))
        return float(below.sum(axis=1) @ order / np.sum(order**2))

    step = optimize.brentq(lambda step: mean(step) - true, -20, 20)
    return statistics.rank_correlations(rng.standard_normal(shape) + step * order)


def _within_range(correlation: float) -> float:
    return float(np.clip(correlation, -LARGEST_CORRELATION, LARGEST_CORRELATION))
