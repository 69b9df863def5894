"""Judge every claim of the ledger.

Each claim is tested for a difference and for equivalence under each of its protocols. The first
protocol of a claim decides its verdict. The p values of all deciding tests form one family for
Holm's adjustment; those of the other protocols form a second one. A difference counts only if the
runs had the config's power to find an effect as large as the margin.
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
    estimates: pd.DataFrame,
    ledger_paths: list[Path],
    schema_paths: list[Path],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """CLAIMS_TABLE and CLAIM_RUNS_TABLE.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        estimates: the table estimates.csv.
        ledger_paths: the ledger (YAML), one file.
        schema_paths: its JSON schema, one file.

    Raises:
        UserError: the ledger is missing or invalid.
    """
    (path,), (schema,) = ledger_paths, schema_paths
    claims = ledger.read(path, read_json(schema), study)
    runs = derived.of_runs(metrics, estimates)
    return judge(claims, runs, study), behind(claims, runs)


def judge(claims: list[Claim], runs: pd.DataFrame, study: Config) -> pd.DataFrame:
    """CLAIMS_TABLE: one row per claim and protocol, with its verdict.

    Args:
        claims: of the ledger.
        runs: of `flatreg.tables.derived.of_runs`.
        study: completed config.
    """
    levels = Levels(study["analysis"]["alpha"], study["analysis"]["power"])
    tried = [(c, p, try_claim(c, p, runs, levels)) for c in claims for p in c.protocols]
    rows = {}
    for deciding in (True, False):
        family = [(c, p, t) for c, p, t in tried if (p == c.protocols[0]) is deciding]
        for (claim, protocol, trial), p in zip(
            family, adjust([trial for *_, trial in family]), strict=True
        ):
            rows[claim.name, protocol] = _row(claim, protocol, trial, p, runs, levels)
    ordered = [rows[claim.name, protocol] for claim, protocol, _ in tried]
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


class Adjusted(NamedTuple):
    """The two p values of a trial, adjusted over its family of tests."""

    difference: float
    equivalence: float


def adjust(trials: list[Trial]) -> list[Adjusted]:
    """Holm's adjustment over the difference and equivalence tests of one family of trials."""
    p_values = [*(trial.p for trial in trials), *(trial.equivalence_p for trial in trials)]
    adjusted = statistics.holm(np.array(p_values, float))
    halves = adjusted[: len(trials)], adjusted[len(trials) :]
    return [Adjusted(float(d), float(e)) for d, e in zip(*halves, strict=True)]


def verdict(claim: Claim, trial: Trial, adjusted: Adjusted, levels: Levels) -> tuple[str, str]:
    """The verdict on a trial, and a note on it ("" for none)."""
    differs, within = (p < levels.alpha for p in adjusted)
    if claim.expected == "equal":
        if within:
            return "supported", ""
        if differs:
            return "contradicted", ""
        return "undetermined", _power_note(trial, levels)
    if within:
        note = "a difference within the margin is there" if differs else ""
        return "equivalent", note
    if differs and trial.power >= levels.power:
        as_expected = (trial.above > 0) == (claim.expected == "higher")
        return ("supported" if as_expected else "contradicted"), ""
    if differs:
        return "undetermined", "a difference was found by runs too few to be relied on"
    return "undetermined", _power_note(trial, levels)


def _power_note(trial: Trial, levels: Levels) -> str:
    if np.isnan(trial.power):
        return ""
    enough = "enough" if trial.power >= levels.power else "too few"
    return f"{enough} runs for an effect of the margin (power {trial.power:.2f})"


def _row(
    claim: Claim, protocol: str, trial: Trial, p: Adjusted, runs: pd.DataFrame, levels: Levels
) -> dict[str, Any]:
    conclusion, note = verdict(claim, trial, p, levels)
    sides = pd.concat(runs_of(claim, protocol, runs).values())
    notes = "; ".join(part for part in (trial.note, note) if part)
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
        "verdict": conclusion,
        "note": notes or None,
    }
