"""Statistics over all data sets, against plain loops and statsmodels."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from flatreg import tables
from flatreg.evidence import overall
from flatreg.tables.evidence import OVERALL_TABLE, TEST_SETS_TABLE

EASY, HARD = [0.9, 0.92, 0.94, 0.96], [0.30, 0.32, 0.34, 0.36]
BETTER, WORSE = [0.95, 0.97, 0.93, 0.99], [0.28, 0.30, 0.32, float("nan")]
STUDY = {
    "analysis": {"alpha": 0.05},
    "protocols": {
        "tuned": {
            "datasets": {
                "easy": {"source": "easy", "test_examples": None},
                "hard": {"source": "hard", "test_examples": 50},
            }
        }
    },
}


@pytest.fixture
def metrics() -> pd.DataFrame:
    cells = {("easy", "0"): EASY, ("easy", "1"): BETTER, ("hard", "0"): HARD, ("hard", "1"): WORSE}
    return pd.DataFrame(
        [
            {
                **{"protocol": "tuned", "dataset": dataset, "lambda": lam, "seed": seed},
                **{"test_accuracy": value},
                "status": "diverged" if np.isnan(value) else "completed",
            }
            for (dataset, lam), values in cells.items()
            for seed, value in enumerate(values)
        ]
    )


def test_a_lambda_over_all_data_sets(metrics: pd.DataFrame) -> None:
    (row,) = overall.overall(metrics, ["tuned"], 0.05, 0).to_dict("records")
    ratios = [b / np.mean(EASY) for b in BETTER] + [w / np.mean(HARD) for w in WORSE[:3]]
    assert row["iqm"] == pytest.approx(stats.trim_mean(ratios, 0.25))
    assert row["iqm_low"] < row["iqm"] < row["iqm_high"]

    def wins(treated: list[float], baseline: list[float]) -> float:
        pairs = list(itertools.product(treated, baseline))
        return float(np.mean([(x > y) + 0.5 * (x == y) for x, y in pairs]))

    assert row["improvement"] == pytest.approx((wins(BETTER, EASY) + wins(WORSE[:3], HARD)) / 2)
    assert (row["n"], row["datasets"]) == (7, "easy hard")


def test_the_interval_of_the_mean_covers_other_seeds() -> None:
    """300 studies of two data sets with ten seeds each."""
    rng = np.random.default_rng(0)
    base = pd.DataFrame(
        list(itertools.product(["tuned"], ["a", "b"], ["0", "1"], range(10))), columns=tables.RUN
    ).assign(status="completed")
    covered = 0
    for _ in range(300):
        runs = base.assign(test_accuracy=0.5 + 0.01 * rng.standard_normal(len(base)))
        (row,) = overall.overall(runs, ["tuned"], 0.05, 0).to_dict("records")
        covered += row["improvement_low"] <= 0.5 <= row["improvement_high"]
    assert covered / 300 > 0.88


def test_a_lambda_without_runs_has_no_number(metrics: pd.DataFrame) -> None:
    gone = metrics[(metrics["lambda"] == "1") | (metrics["dataset"] == "none")]
    (row,) = overall.overall(gone, ["tuned"], 0.05, 0).to_dict("records")
    assert row["datasets"] == "none"
    assert np.isnan(row["iqm"])
    assert row["note"] == "a data set has no run with a value"
    tables.check(pd.DataFrame([row])[list(OVERALL_TABLE.columns)], OVERALL_TABLE, "test")


def test_what_the_size_of_a_test_set_leaves_open(metrics: pd.DataFrame) -> None:
    result = overall.left_open_by_size(STUDY, metrics, {"easy": 200, "hard": 1000})
    checked = tables.check(result, TEST_SETS_TABLE, "test").set_index(["dataset", "lambda"])
    easy = checked.loc[("easy", "0")]
    assert easy["examples"] == 200
    expected = proportion_confint(round(np.mean(EASY) * 200), 200, 0.05, method="wilson")
    assert (easy["low"], easy["high"]) == pytest.approx(expected)
    # Only 50 test examples are used, and the diverged run is not counted.
    hard = checked.loc[("hard", "1")]
    assert (hard["examples"], hard["n"]) == (50, 3)
    assert hard["sd"] == pytest.approx(np.std(WORSE[:3], ddof=1))
