"""Judge every claim of the ledger: `python -m flatreg.evidence.judge --help`.

A difference and an equivalence are tested for each claim and protocol. Both p are adjusted by Holm
over all tests of the ledger that decide, those of each claim's first protocol; those of the other
protocols are a family of their own. A difference counts where the runs had the config's power to
find an effect of the margin.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config
from flatreg.errors import run_command
from flatreg.evidence import ledger, quantities
from flatreg.evidence.ledger import Claim
from flatreg.evidence.tables import CLAIM_RUNS_TABLE, CLAIMS_TABLE, ESTIMATES_TABLE
from flatreg.evidence.trials import Levels, Trial, runs_of, try_claim
from flatreg.files import read_json


def main() -> None:
    """Write claims.csv and claim_runs.csv."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.evidence.judge", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--ledger", type=Path, required=True, help="the claims (YAML)")
    parser.add_argument("--schema", type=Path, required=True, help="the ledger's schema")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.csv")
    parser.add_argument("--times", type=Path, required=True, help="times.csv")
    parser.add_argument("--estimates", type=Path, required=True, help="estimates.csv")
    parser.add_argument("--out-claims", type=Path, required=True, help="claims.csv")
    parser.add_argument("--out-runs", type=Path, required=True, help="claim_runs.csv")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    claims = ledger.read(arguments.ledger, read_json(arguments.schema), study)
    runs = quantities.of_runs(
        tables.read(arguments.metrics, tables.METRICS_TABLE),
        tables.read(arguments.times, tables.TIMES_TABLE),
        tables.read(arguments.estimates, ESTIMATES_TABLE),
    )
    tables.write(arguments.out_claims, judge(claims, runs, study), CLAIMS_TABLE)
    tables.write(arguments.out_runs, behind(claims, runs), CLAIM_RUNS_TABLE)


def judge(claims: list[Claim], runs: pd.DataFrame, study: Config) -> pd.DataFrame:
    """A row a claim and protocol, with its verdict.

    Args:
        claims: of the ledger.
        runs: of `flatreg.evidence.quantities.of_runs`.
        study: resolved config.
    """
    levels = Levels(study["analysis"]["alpha"], study["analysis"]["power"])
    tried = [(c, p, try_claim(c, p, runs, levels)) for c in claims for p in c.protocols]
    rows = {}
    for family in (True, False):
        chosen = [(c, p, t) for c, p, t in tried if (p == c.protocols[0]) is family]
        for (claim, protocol, trial), p in zip(
            chosen, adjust([trial for *_, trial in chosen]), strict=True
        ):
            rows[claim.name, protocol] = _row(claim, protocol, trial, p, runs, levels)
    ordered = [rows[claim.name, protocol] for claim, protocol, _ in tried]
    return pd.DataFrame(ordered, columns=list(CLAIMS_TABLE.columns))


def behind(claims: list[Claim], runs: pd.DataFrame) -> pd.DataFrame:
    """The keys of the runs behind each claim and protocol, with the side they are of."""
    rows = [
        (claim.name, protocol, side, key)
        for claim in claims
        for protocol in claim.protocols
        for side, chosen in runs_of(claim, protocol, runs).items()
        for key in chosen["key"]
    ]
    return pd.DataFrame(rows, columns=list(CLAIM_RUNS_TABLE.columns))


class Adjusted(NamedTuple):
    """Both p of a trial, adjusted over all tests of the ledger."""

    difference: float
    equivalence: float


def adjust(trials: list[Trial]) -> list[Adjusted]:
    """Holm's adjustment over the tests of difference and of equivalence of a family of trials."""
    both = [*(trial.p for trial in trials), *(trial.equivalence_p for trial in trials)]
    adjusted = statistics.holm(np.array(both, float))
    halves = adjusted[: len(trials)], adjusted[len(trials) :]
    return [Adjusted(float(d), float(e)) for d, e in zip(*halves, strict=True)]


def verdict(claim: Claim, trial: Trial, adjusted: Adjusted, levels: Levels) -> tuple[str, str]:
    """What follows from a trial, and a note on how ("" for none)."""
    differs, within = (p < levels.alpha for p in adjusted)
    if claim.expected == "equal":
        if within:
            return "supported", ""
        if differs:
            return "contradicted", ""
        return "undetermined", _lacking(trial, levels)
    if within:
        also = "a difference within the margin is there" if differs else ""
        return "equivalent", also
    if differs and trial.power >= levels.power:
        as_expected = (trial.above > 0) == (claim.expected == "higher")
        return ("supported" if as_expected else "contradicted"), ""
    if differs:
        return "undetermined", "a difference was found by runs too few to be relied on"
    return "undetermined", _lacking(trial, levels)


def _lacking(trial: Trial, levels: Levels) -> str:
    if np.isnan(trial.power):
        return ""
    enough = "enough" if trial.power >= levels.power else "too few"
    return f"{enough} runs for an effect of the margin (power {trial.power:.2f})"


def _row(
    claim: Claim, protocol: str, trial: Trial, p: Adjusted, runs: pd.DataFrame, levels: Levels
) -> dict[str, Any]:
    found, how = verdict(claim, trial, p, levels)
    sides = pd.concat(runs_of(claim, protocol, runs).values())
    notes = "; ".join(part for part in (trial.note, how) if part)
    return {
        **{name: getattr(claim, name) for name in ("statement", "said", "reported", "dataset")},
        **trial._asdict(),
        "claim": claim.name,
        "protocol": protocol,
        "metric": claim.metric,
        "test": claim.test,
        "expected": claim.expected,
        "p_adjusted": p.difference,
        "margin": claim.margin,
        "margin_reason": claim.reason,
        "equivalence_p_adjusted": p.equivalence,
        "diverged": int((sides["status"] == tables.DIVERGED).sum()),
        "verdict": found,
        "note": notes or None,
    }


if __name__ == "__main__":
    run_command(main)
