r"""Judge every claim of the ledger.

Under each of its protocols a claim is tried against both ends of its margin. An effect lies below
the margin, within it or above it, and each of these three is a null hypothesis, of which exactly
one is true:

    p(below) = 2 p_not_below,  p(within) = 2 min(p_above, p_below),  p(above) = 2 p_not_above

with the one-sided p of `flatreg.statistics.margin`. Of the nulls of K claims exactly K are true, so

    adjusted p = min(1, K p)

bounds the probability of any false rejection in the family by alpha (Shaffer 1986;
`flatreg.statistics.shaffer`). In other words: each one-sided test has the level alpha / (2 K). The
first protocol of a claim decides; the families of `family` hold these trials. The trials under all
other protocols are a family of their own, and show how far an outcome carries over.

    outcome                       nulls rejected                  a claim that expects
    supported                     all but the claimed one         higher, lower, equal
    reversed                      all but the opposite one        higher, lower
                                  within                          equal
    no effect of practical size   below and above                 higher, lower
    claimed effect excluded       the claimed one alone           higher, lower
    undetermined                  none of these
    not testable                  see `flatreg.evidence.testable`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config, registration
from flatreg.disk.files import read_json
from flatreg.evidence import bench, ledger
from flatreg.evidence.ledger import Claim
from flatreg.evidence.testable import untestable
from flatreg.evidence.trials import (
    ABOVE,
    BELOW,
    WITHIN,
    Evidence,
    Trial,
    correlates,
    runs_of,
    try_claim,
)
from flatreg.tables import derived
from flatreg.tables.evidence import (
    CLAIM_RUNS_TABLE,
    CLAIMS_TABLE,
    EXCLUDED,
    EXPLORATORY,
    FAMILIES,
    NO_EFFECT,
    NOT_TESTABLE,
    REGISTERED,
    REVERSED,
    ROBUSTNESS,
    SUPPORTED,
    UNDETERMINED,
)

NAN = float("nan")
# The side of the margin that a claim expects, and the opposite one.
SIDES = {"higher": (ABOVE, BELOW), "lower": (BELOW, ABOVE)}


class Levels(NamedTuple):
    """The level of a family of tests, and the power that is asked for."""

    alpha: float
    power: float


class Adjusted(NamedTuple):
    """Adjusted p of the nulls that an effect is below, within and above the margin."""

    below: float
    within: float
    above: float


class Case(NamedTuple):
    """A claim under one protocol.

    Attributes:
        claim: of the ledger.
        protocol: that it is tried under.
        trial: what the runs say.
        untestable: why they can say nothing; None if they can.
    """

    claim: Claim
    protocol: str
    trial: Trial
    untestable: str | None

    @property
    def family(self) -> str:
        """The family of tests that the trial belongs to."""
        return self.claim.family_under(self.protocol)

    def nulls(self) -> tuple[float, float, float]:
        """P of the three nulls; NaN if the claim cannot be tested."""
        return (NAN, NAN, NAN) if self.untestable else self.trial.test.nulls()


def judge_ledger(
    study: Config,
    metrics: pd.DataFrame,
    estimates: pd.DataFrame,
    registrations: pd.DataFrame,
    registered_claims: pd.DataFrame,
    manifests: list[Path],
    ledger_paths: list[Path],
    schema_paths: list[Path],
    bench_paths: list[Path],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """CLAIMS_TABLE and CLAIM_RUNS_TABLE.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        estimates: the table estimates.csv.
        registrations: the table registrations.csv.
        registered_claims: the table registered_claims.csv.
        manifests: data/SOURCE.json of the study's sources.
        ledger_paths: the ledger (YAML), one file.
        schema_paths: its JSON schema, one file.
        bench_paths: what `make bench` measured, one file.

    Raises:
        UserError: the ledger is missing or invalid.
    """
    (path,), (schema,), (timed,) = ledger_paths, schema_paths, bench_paths
    claims = ledger.read(path, read_json(schema), study, timed)
    runs = derived.of_runs(metrics, estimates)
    evidence = Evidence(study, runs, derived.commonest_shares(manifests), timed)
    digests = registration.digests(path, study["analysis"]["alpha"])
    recorded = Recorded(digests, registrations.merge(registered_claims, on="ledger"), timed)
    return judge(claims, evidence, recorded), behind(claims, runs)


class Recorded(NamedTuple):
    """What was registered.

    Attributes:
        digests: of the claims as they stand now, by name.
        runs: one row per run and claim that it registered, with the columns of `tables.RUN`,
            claim, sha256, and the ledger's commit (none if it was not as committed).
        timed: what `make bench` measured, whose facts have a ledger too.
    """

    digests: dict[str, str]
    runs: pd.DataFrame
    timed: Path | None = None


def judge(claims: list[Claim], evidence: Evidence, recorded: Recorded) -> pd.DataFrame:
    """CLAIMS_TABLE: one row per claim and protocol, with its verdict.

    Args:
        claims: of the ledger.
        evidence: that they are tried on.
        recorded: what the runs registered.
    """
    levels = Levels(*(evidence.study["analysis"][name] for name in Levels._fields))
    tried = [
        Case(
            claim,
            protocol,
            try_claim(claim, protocol, evidence, levels.alpha),
            untestable(claim, protocol, evidence, levels.alpha),
        )
        for claim in claims
        for protocol in claim.protocols
    ]
    rows = {}
    for family in (*FAMILIES, ROBUSTNESS):
        members = [case for case in tried if case.family == family]
        adjusted, level = adjust([case.nulls() for case in members], levels.alpha)
        for case, p in zip(members, adjusted, strict=True):
            rows[case.claim.name, case.protocol] = (
                _row(case, p, levels, level)
                | {"registered": _registered(case, evidence.runs, recorded)}
                | {"diverged": _diverged(case, evidence.runs), "note": _note(case, evidence.runs)}
            )
    ordered = [rows[case.claim.name, case.protocol] for case in tried]
    return pd.DataFrame(ordered, columns=list(CLAIMS_TABLE.columns))


def behind(claims: list[Claim], runs: pd.DataFrame) -> pd.DataFrame:
    """CLAIM_RUNS_TABLE: the keys of the runs behind each claim and protocol, with their side."""
    rows = [
        (claim.name, protocol, side, key)
        for claim in claims
        for protocol in claim.protocols
        for side, group in runs_of(claim, protocol, runs).items()
        for key in group["key"]
    ]
    return pd.DataFrame(rows, columns=list(CLAIM_RUNS_TABLE.columns))


def adjust(nulls: list[tuple[float, float, float]], alpha: float) -> tuple[list[Adjusted], float]:
    """Adjusted p of the three nulls of each trial of a family, and the level of a one-sided test.

    Args:
        nulls: p of each trial's nulls; NaN where there was no test.
        alpha: level of the family.
    """
    p_values = np.array(nulls, float).reshape(-1, 3)
    adjusted = [Adjusted(*map(float, row)) for row in statistics.shaffer(p_values)]
    return adjusted, alpha / (2 * max(len(nulls), 1))


def verdict(expected: str, trial: Trial, adjusted: Adjusted, alpha: float) -> str:
    """The outcome of a trial; see the module.

    Args:
        expected: by the claim: higher, lower or equal.
        trial: of the claim.
        adjusted: its p.
        alpha: level of the family.
    """
    excluded = {side for side, p in adjusted._asdict().items() if p < alpha}
    if trial.seen is not None:
        excluded = {BELOW, WITHIN, ABOVE} - {trial.seen}
    left = {BELOW, WITHIN, ABOVE} - excluded
    if expected == "equal":
        if left == {WITHIN}:
            return SUPPORTED
        return REVERSED if WITHIN in excluded else UNDETERMINED
    claimed, opposite = SIDES[expected]
    if claimed in left:
        return SUPPORTED if left == {claimed} else UNDETERMINED
    if left == {opposite}:
        return REVERSED
    return NO_EFFECT if left == {WITHIN} else EXCLUDED


def side_of(trial: Trial) -> str:
    """The side of the margin that the effect is closer to being beyond."""
    if trial.seen in (ABOVE, BELOW):
        return trial.seen
    return ABOVE if trial.test.p_above <= trial.test.p_below else BELOW


def settles(claim: Claim, trial: Trial, level: float, power: float) -> str:
    """What would settle an undetermined trial, if the effect is as estimated.

    Args:
        claim: of the ledger.
        trial: of it.
        level: of each one-sided test.
        power: that is asked for.
    """
    unit = "rounds" if claim.test == "bench" else "seeds"
    needed = trial.plan.seeds(level, power, expected=claim.expected)
    if np.isfinite(needed):
        return f"{needed:.0f} {unit}"
    if np.isinf(needed):
        splits = getattr(trial.plan, "overlap", 0.0) > 0
        return f"no number of {'splits of these examples' if splits else unit}"
    return f"at least 5 {unit}: there is no spread to plan with"


def _row(case: Case, p: Adjusted, levels: Levels, level: float) -> dict[str, Any]:
    """The row of a trial, except what depends on its runs."""
    claim, trial, test = case.claim, case.trial, case.trial.test
    outcome = NOT_TESTABLE if case.untestable else verdict(claim.expected, trial, p, levels.alpha)
    side = side_of(trial)
    equal = claim.expected == "equal"
    short = ABOVE if equal else SIDES[claim.expected][0]
    return {
        **{name: getattr(claim, name) for name in ("statement", "said", "reported", "dataset")},
        **{name: getattr(trial, name) for name in _OF_TRIAL},
        "claim": claim.name,
        "protocol": case.protocol,
        "family": case.family,
        # The bench measures the seconds of a step.
        "metric": claim.metric or "seconds_per_step",
        "test": claim.test,
        "expected": claim.expected,
        "tail": None if np.isnan(test.p_above) else side,
        "p": getattr(test, f"p_{side}"),
        "p_adjusted": p.within,
        "margin": claim.margin,
        "margin_reason": claim.reason,
        "equivalence_p": test.p_within,
        "equivalence_p_adjusted": max(p.below, p.above),
        "excluded_p": NAN if equal else getattr(test, f"p_not_{short}"),
        "excluded_p_adjusted": NAN if equal else getattr(p, short),
        "power": trial.plan.power(level, equal=equal),
        "detectable": _in_unit_of_estimate(claim, trial.plan.detectable(level, levels.power)),
        "verdict": outcome,
        "settles": settles(claim, trial, level, levels.power) if outcome == UNDETERMINED else None,
    }


# Columns that are fields of a trial.
_OF_TRIAL = (
    *("estimate", "low", "high", "largest", "effect", "check", "check_p"),
    *("n", "n_baseline", "comparison", "unit"),
)


def _in_unit_of_estimate(claim: Claim, effect: float) -> float:
    """An effect in the unit of the test, converted to the unit of the estimate."""
    if claim.scale == "ratio":
        return float(np.exp(effect))
    return float(np.tanh(effect)) if correlates(claim) else effect


def _diverged(case: Case, runs: pd.DataFrame) -> int:
    sides = pd.concat(runs_of(case.claim, case.protocol, runs).values())
    return int((sides["status"] == tables.DIVERGED).sum())


def _note(case: Case, runs: pd.DataFrame) -> str | None:
    """What a reader must know of a trial."""
    notes = [case.untestable, case.trial.note, _other_rates(case, runs)]
    return "; ".join(filter(None, notes)) or None


def _other_rates(case: Case, runs: pd.DataFrame) -> str | None:
    """That the two sides were trained at other rates, which change what is measured too."""
    sides = runs_of(case.claim, case.protocol, runs)
    if set(sides) != {"treated", "baseline"} or case.claim.test != "paired":
        return None
    told = []
    for name in ("learning_rate", "weight_decay"):
        ours, theirs = (
            ", ".join(f"{rate:g}" for rate in sorted(sides[side][name].dropna().unique()))
            for side in ("treated", "baseline")
        )
        if ours != theirs:
            told.append(f"{name} {ours} against {theirs}")
    return "; ".join(told) or None


def _registered(case: Case, runs: pd.DataFrame, recorded: Recorded) -> str:
    """Whether all runs behind a trial registered its claim as it stands now, and as committed."""
    digest = recorded.digests.get(case.claim.name)
    if case.claim.test == "bench":
        facts = bench.read(recorded.timed)["facts"] if recorded.timed else {}
        ledger_then = facts.get("ledger") or {}
        same = ledger_then.get("claims", {}).get(case.claim.name) == digest
        return REGISTERED if same and ledger_then.get("commit") else EXPLORATORY
    claims = recorded.runs
    same = claims[(claims["claim"] == case.claim.name) & (claims["sha256"] == digest)]
    same = same[same["commit"].notna()]
    known = set(same[tables.RUN].itertuples(index=False, name=None))
    sides = pd.concat(runs_of(case.claim, case.protocol, runs).values())
    mine = set(sides[tables.RUN].itertuples(index=False, name=None))
    return REGISTERED if mine and mine <= known else EXPLORATORY
