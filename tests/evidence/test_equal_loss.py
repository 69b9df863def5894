"""Flatness at equal training loss, on curves whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flatreg import tables
from flatreg.evidence import equal_loss
from flatreg.tables.evidence import EQUAL_LOSS_TABLE

CELL = {"varies": ["initialization"], "lambdas": ["0", "1"]}
STUDY: dict[str, Any] = {
    "analysis": {"alpha": 0.05},
    "protocols": {
        "main": {"extends": None, "datasets": {"digits": CELL}},
        "more": {"extends": "main", "datasets": {"digits": CELL | {"lambdas": ["2"]}}},
        "only": {
            "extends": "main",
            "datasets": {"digits": CELL | {"varies": [], "lambdas": ["1"]}},
        },
    },
}


def curve(losses: list[float], factor: float = 1.0, gain: float = 0.0) -> pd.DataFrame:
    """Epochs of these losses, with tr(H^2) = factor e^loss and accuracy 1 - loss/10 + gain."""
    loss = np.array(losses)
    return pd.DataFrame(
        {"epoch": np.arange(1, len(loss) + 1), "train_loss": loss}
        | {"tr_h2": factor * np.exp(loss), "test_accuracy": 1 - loss / 10 + gain}
    )


def test_a_state_lies_between_the_epochs_around_its_loss() -> None:
    found = equal_loss.at_loss(curve([3.0, 2.0, 1.0]), 1.7)
    assert found == pytest.approx((1.7, 0.83))


def test_where_a_loss_rises_the_last_time_counts() -> None:
    losses = [3.0, 0.5, 2.0, 1.0, 1.2]
    rising = curve(losses).assign(tr_h2=[1.0, 2.0, 4.0, 8.0, 16.0])
    # Of these, only 3, 2 and 1.2 are above all later ones.
    assert np.exp(equal_loss.at_loss(rising, 1.2).log_tr_h2) == pytest.approx(16)
    assert np.exp(equal_loss.at_loss(rising, 2.0).log_tr_h2) == pytest.approx(4)
    assert np.exp(equal_loss.at_loss(rising, 1.6).log_tr_h2) == pytest.approx(8)


@pytest.mark.parametrize("loss", [3.1, 0.9])
def test_a_loss_that_a_run_never_had(loss: float) -> None:
    assert np.isnan(equal_loss.at_loss(curve([3.0, 2.0, 1.0]), loss)).all()


def test_a_penalty_that_only_stops_the_fit_leaves_no_flattening() -> None:
    both = equal_loss.pair(curve([3.0, 2.5, 2.0]), curve([3.0, 1.5, 0.5]))
    assert both.loss == 2.0
    row = equal_loss.compare([both, both._replace()], 0.05)
    assert row["tr_h2_ratio"] == pytest.approx(1)
    assert row["accuracy_difference"] == pytest.approx(0)
    assert row["last_tr_h2_ratio"] == pytest.approx(np.exp(1.5))
    assert row["last_accuracy_difference"] == pytest.approx(-0.15)
    assert row["remaining"] == pytest.approx(0, abs=1e-12)


def study_of(pairs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs of lambda 1 at a half to a third of tr(H^2), at the same losses; one diverged."""
    epochs = []
    for seed in range(pairs):
        for lam, factor in (("0", 1.0), ("1", 1 / (2 + seed / pairs))):
            name = {"protocol": "main", "dataset": "digits", "lambda": lam, "seed": seed}
            epochs.append(curve([3.0, 2.0 + 0.01 * seed, 1.0], factor).assign(**name))
    more = {"protocol": "more", "dataset": "digits", "lambda": "2", "seed": 0}
    only = {"protocol": "only", "dataset": "digits", "lambda": "1", "seed": 0}
    epochs += [curve([3.0, 1.0], 0.1).assign(**name) for name in (more, only)]
    frame = pd.concat(epochs, ignore_index=True)
    metrics = frame[tables.RUN].drop_duplicates().assign(status="completed")
    last = (metrics["lambda"] == "1") & (metrics["seed"] == pairs - 1)
    return metrics.assign(status=np.where(last, "diverged", "completed")), frame


def test_the_table_has_a_row_for_each_cell_with_partners() -> None:
    metrics, epochs = study_of(5)
    (found,) = equal_loss.compare_at_equal_loss(STUDY, metrics, epochs)
    found = tables.check(found, EQUAL_LOSS_TABLE, "equal_loss")
    assert found[tables.CELL].to_numpy().tolist() == [
        ["main", "digits", "1"],
        ["more", "digits", "2"],
    ]
    first, second = (row for _, row in found.iterrows())
    logs = -np.log([2 + seed / 5 for seed in range(4)])
    ends = stats.t.interval(0.95, 3, np.mean(logs), stats.sem(logs))
    for prefix in ("", "last_"):
        columns = [f"{prefix}tr_h2_ratio{end}" for end in ("", "_low", "_high")]
        assert first[columns].to_list() == pytest.approx(np.exp([np.mean(logs), *ends]))
    assert (first["n"], first["last_n"]) == (4, 4)
    assert first["remaining"] == pytest.approx(1)
    assert (second["n"], second["tr_h2_ratio"]) == (1, pytest.approx(0.1))


def test_curves_that_do_not_overlap_are_counted() -> None:
    apart = equal_loss.pair(curve([5.0, 4.0]), curve([3.0, 1.0]))
    met = equal_loss.pair(curve([3.0, 2.0]), curve([3.0, 1.0]))
    row = equal_loss.compare([apart, met], 0.05)
    assert (row["n"], row["last_n"]) == (1, 2)
    assert row["loss"] == 2.0
    assert row["note"] == "1 of 2 pairs have no training loss in common"
    nothing = equal_loss.compare([apart], 0.05)
    assert np.isnan(nothing["tr_h2_ratio"])
    assert nothing["n"] == 0
