"""Judge every claim of the ledger.

A difference and an equivalence are tested for each claim and protocol. Both p are adjusted by Holm
over all tests of the ledger that decide, those of each claim's first protocol; those of the other
protocols are a family of their own. A difference counts where the runs had the config's power to
find an effect of the margin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import Config
from flatreg.disk.files import read_json
from flatreg.evidence import ledger
from flatreg.evidence.ledger import Claim
from flatreg.evidence.trials import Levels, Trial, runs_of, try_claim
from flatreg.tables import derived
from flatreg.tables.evidence import CLAIM_RUNS_TABLE, CLAIMS_TABLE


def judge_ledger(
    study: Config,
    metrics: pd.DataFrame,
    times: pd.DataFrame,
    estimates: pd.DataFrame,
    ledger_paths: list[Path],
    schema_paths: list[Path],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """CLAIMS_TABLE and CLAIM_RUNS_TABLE.

    Args:
        study: completed config.
        metrics: of metrics.csv.
        times: of times.csv.
        estimates: of estimates.csv.
        ledger_paths: the ledger (YAML), one file.
        schema_paths: its JSON schema, one file.

    Raises:
        UserError: the ledger is missing or wrong.
    """
    (path,), (schema,) = ledger_paths, schema_paths
    claims = ledger.read(path, read_json(schema), study)
    runs = derived.of_runs(metrics, times, estimates)
    return judge(claims, runs, study), behind(claims, runs)


def judge(claims: list[Claim], runs: pd.DataFrame, study: Config) -> pd.DataFrame:
    """A row a claim and protocol, with its verdict.

    Args:
        claims: of the ledger.
        runs: of `flatreg.tables.derived.of_runs`.
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
