"""Whether a claim can be tested at all on the runs of a protocol.

What the penalty does to a training shows only in one that learns. So a claim on accuracy or
curvature needs plain training whose accuracy is above that of always naming the commonest class, by
a one-sided t-test over its seeds. And no claim can be tested where every run of a side diverged,
unless it is about divergence.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from flatreg import statistics, tables
from flatreg.evidence.ledger import DIVERGED, OF_THE_PENALTY, Claim, other_cell, plain_cell
from flatreg.evidence.trials import Evidence, cell_of, overlap_of, runs_of
from flatreg.statistics.margin import standard_error


def untestable(claim: Claim, protocol: str, evidence: Evidence, alpha: float) -> str | None:
    """Why a claim cannot be tested on the runs of a protocol; None if it can.

    Args:
        claim: of the ledger.
        protocol: one of the claim's protocols.
        evidence: the runs and the study.
        alpha: level of the test of plain training.
    """
    if claim.test == "bench":
        return None
    if claim.test in OF_THE_PENALTY:
        cells = dict.fromkeys([(protocol, claim.dataset), other_cell(claim, protocol)])
        for cell in cells:
            reason = _unlearned(claim, cell, evidence, alpha)
            if reason is not None:
                return reason
    if claim.metric == DIVERGED:
        return None
    for side in runs_of(claim, protocol, evidence.runs).values():
        # A correlation takes all lambdas together; other tests need runs at each.
        groups = [side] if claim.lambdas is None else [part for _, part in side.groupby("lambda")]
        for group in groups:
            if len(group) and (group["status"] == tables.DIVERGED).all():
                lambdas = ", ".join(dict.fromkeys(group["lambda"]))
                return f"all {len(group)} runs at lambda {lambdas} diverged"
    return None


def _unlearned(claim: Claim, cell: tuple[str, str], evidence: Evidence, alpha: float) -> str | None:
    """Why the plain training of a cell decides nothing; None if it learned, or was not run."""
    protocol, dataset, lam = plain_cell(evidence.study, *cell)
    runs = cell_of(evidence.runs, protocol, dataset, [lam])
    if runs.empty:
        return None
    if (runs["status"] == tables.DIVERGED).all():
        return f"all {len(runs)} runs of plain training ({protocol}) diverged"
    column = "last_test_accuracy" if str(claim.metric).startswith("last_") else "test_accuracy"
    source = evidence.study["protocols"][protocol]["datasets"][dataset]["source"]
    chance = evidence.commonest[source]
    if above(runs[column], chance, alpha, overlap_of(runs, evidence.study, column)):
        return None
    return (
        f"plain training ({protocol}) is not above chance: accuracy {runs[column].mean():.4f},"
        f" {chance:.4f} by always naming the commonest class"
    )


def above(accuracies: pd.Series, chance: float, alpha: float, overlap: float) -> bool:
    """Whether the mean accuracy is above chance, by a one-sided t-test.

    Accuracies that are all equal, and one alone, have no spread to test with: they are compared as
    they are.

    Args:
        accuracies: one per seed; NaN for a diverged run.
        chance: accuracy of always naming the commonest class.
        alpha: level of the test.
        overlap: of the splits; see `flatreg.statistics.margin`.
    """
    beyond = accuracies.dropna().to_numpy(float) - chance
    n = len(beyond)
    if n < 2 or statistics.agree(beyond, 1.0):
        return bool(np.mean(beyond) > 0)
    error = standard_error(float(np.std(beyond, ddof=1)), n, overlap)
    return bool(stats.t.sf(np.mean(beyond) / error, n - 1) < alpha)
