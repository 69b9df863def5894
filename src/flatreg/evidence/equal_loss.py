"""How much of the flattening is lower fit?

A penalized network fits its training data less well, which alone makes it flatter. So a run and
the plain run of its seed are compared where both have the same training loss: the higher of their
last ones. Along the epochs of a run, test accuracy and log tr(H^2) are interpolated in the training
loss, where it falls for the last time: at epochs whose loss is above that of all later ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg import statistics, tables
from flatreg.config import BASELINE, Config, lineage
from flatreg.tables.evidence import EQUAL_LOSS_TABLE

NAN = float("nan")
LOSS = "train_loss"


class State(NamedTuple):
    """A run at some training loss; NaN where it was not there."""

    log_tr_h2: float
    accuracy: float


class Pair(NamedTuple):
    """A run and the plain run of its seed, each at their common training loss and at the end."""

    loss: float
    equal: tuple[State, State]
    last: tuple[State, State]


def compare_at_equal_loss(
    study: Config, metrics: pd.DataFrame, epochs: pd.DataFrame
) -> tuple[pd.DataFrame]:
    """EQUAL_LOSS_TABLE.

    Args:
        study: completed config.
        metrics: the table metrics.csv.
        epochs: the table epochs.csv.
    """
    ended = metrics.loc[metrics["status"] != tables.DIVERGED, tables.RUN]
    curves = {
        run: curve.sort_values("epoch")
        for run, curve in epochs.merge(ended, on=tables.RUN).groupby(tables.RUN, sort=False)
    }
    cells = metrics.groupby(tables.CELL, sort=False)["seed"].unique()
    rows = []
    for (protocol, dataset, lam), seeds in cells.items():
        plain = plain_protocol(study, protocol, dataset)
        if lam == BASELINE or plain is None:
            continue
        names = [((protocol, dataset, lam, s), (plain, dataset, BASELINE, s)) for s in seeds]
        pairs = [pair(curves[a], curves[b]) for a, b in names if a in curves and b in curves]
        cell = {"protocol": protocol, "dataset": dataset, "lambda": lam}
        rows.append(cell | compare(pairs, study["analysis"]["alpha"]))
    return (pd.DataFrame(rows, columns=list(EQUAL_LOSS_TABLE.columns)),)


def plain_protocol(study: Config, protocol: str, dataset: str) -> str | None:
    """The protocol whose runs at lambda 0 are the plain ones: its own, or one that it extends.

    A protocol in which a seed varies something else has no partners there.
    """
    protocols = study["protocols"]
    varies = protocols[protocol]["datasets"][dataset]["varies"]
    for name in lineage(study, protocol):
        there = protocols[name]["datasets"].get(dataset)
        if there is None or there["varies"] != varies:
            return None
        if BASELINE in there["lambdas"]:
            return name
    return None


def pair(run: pd.DataFrame, plain: pd.DataFrame) -> Pair:
    """Compare two runs by their rows of epochs.csv, in order."""
    loss = float(max(run[LOSS].iloc[-1], plain[LOSS].iloc[-1]))
    both = run, plain
    return Pair(
        loss,
        equal=tuple(at_loss(curve, loss) for curve in both),
        last=tuple(at_loss(curve, float(curve[LOSS].iloc[-1])) for curve in both),
    )


def at_loss(curve: pd.DataFrame, loss: float) -> State:
    """The state of a run when it passed a training loss for the last time.

    Returns:
        NaN if its loss was lower from the first epoch on, or never as low.
    """
    falling = curve[_above_all_later(curve[LOSS].to_numpy(float))]
    with np.errstate(divide="ignore"):
        log_tr_h2 = np.log(falling["tr_h2"].to_numpy(float))

    def at(values: np.ndarray) -> float:
        # np.interp wants rising places: from the last epoch to the first.
        places = falling[LOSS].to_numpy(float)[::-1]
        return float(np.interp(loss, places, values[::-1], left=NAN, right=NAN))

    return State(at(log_tr_h2), at(falling["test_accuracy"].to_numpy(float)))


def _above_all_later(losses: np.ndarray) -> np.ndarray:
    """Whether each loss [n] is above all later ones; the last one is."""
    later = np.maximum.accumulate(losses[::-1])[::-1]
    return np.append(losses[:-1] > later[1:], True)


def compare(pairs: list[Pair], alpha: float) -> dict[str, Any]:
    """The columns of EQUAL_LOSS_TABLE but those of the cell."""
    equal = np.array([_differences(*pair.equal) for pair in pairs]).reshape(-1, 2)
    last = np.array([_differences(*pair.last) for pair in pairs]).reshape(-1, 2)
    met = np.isfinite(equal).all(axis=1)
    ended = np.isfinite(last).all(axis=1)
    both = met & ended
    remaining = statistics.ratio_of_means(equal[both, 0], last[both, 0], alpha)
    note = None
    if not met.all():
        note = f"{np.sum(~met)} of {len(met)} pairs have no training loss in common"
    return {
        "n": int(met.sum()),
        "loss": float(np.mean([p.loss for p, m in zip(pairs, met, strict=True) if m] or [NAN])),
        **_compared(equal[met], alpha, ""),
        "last_n": int(ended.sum()),
        **_compared(last[ended], alpha, "last_"),
        "remaining": remaining.estimate,
        "remaining_low": remaining.low,
        "remaining_high": remaining.high,
        "note": note or remaining.note,
    }


def _differences(run: State, plain: State) -> tuple[float, float]:
    return run.log_tr_h2 - plain.log_tr_h2, run.accuracy - plain.accuracy


def _compared(differences: np.ndarray, alpha: float, prefix: str) -> dict[str, float]:
    logs, accuracies = (statistics.summarize(side, alpha) for side in differences.T)
    ends = ("mean", "low", "high")
    suffixes = ("", "_low", "_high")
    return {
        f"{prefix}tr_h2_ratio{suffix}": float(np.exp(getattr(logs, end)))
        for suffix, end in zip(suffixes, ends, strict=True)
    } | {
        f"{prefix}accuracy_difference{suffix}": getattr(accuracies, end)
        for suffix, end in zip(suffixes, ends, strict=True)
    }
