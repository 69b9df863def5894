"""Every deciding trial is computed again in R, by a second implementation."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatreg import tables
from flatreg.evidence import judge
from flatreg.evidence.judge import Recorded
from flatreg.evidence.trials import Evidence
from flatreg.tables import derived
from tests.copies import ROOT
from tests.evidence.claims import GAIN

RSCRIPT = shutil.which("Rscript")
SCRIPT = ROOT / "tests/evidence/deciding_trials.R"
LAMBDAS = ["0", "0.1", "1"]
CELL = {"lambdas": LAMBDAS, "source": "digits", "penalty": {"interval": 10}, "varies": ["order"]}
SPLITS = CELL | {"varies": ["order", "test_split"]}
STUDY: dict[str, Any] = {
    "analysis": {"alpha": 0.05, "power": 0.8},
    "protocols": {
        "literal": {"extends": None, "datasets": {"digits": CELL, "splits": SPLITS}},
        "other": {"extends": "literal", "datasets": {"digits": CELL}},
    },
}
CLAIM = GAIN._replace(margin=0.005)
RATIO = CLAIM._replace(metric="last_tr_h2", scale="ratio", margin=1.25, expected="lower")
ALL = CLAIM._replace(lambdas=LAMBDAS, against=None)
OVER_RUNS = ALL._replace(
    lambdas=None, test="correlation", metric="last_tr_h2", target="last_test_accuracy", margin=0.2
)
CLAIMS = [
    CLAIM,
    CLAIM._replace(name="gain_on_splits", dataset="splits"),
    CLAIM._replace(name="none_changes", lambdas=["0.1", "1"], expected="equal"),
    CLAIM._replace(
        name="protocols_agree",
        family="secondary",
        against={"lambda": None, "protocol": "other", "dataset": None},
        lambdas=["0", "1"],
        expected="equal",
    ),
    RATIO._replace(name="flatter"),
    RATIO._replace(name="flatter_on_splits", dataset="splits", family="asked"),
    ALL._replace(name="accuracy_grows", test="trend", margin=0.2),
    RATIO._replace(
        name="always_flatter", test="trend", lambdas=LAMBDAS, against=None, scale="difference"
    )._replace(margin=0.2),
    OVER_RUNS._replace(name="goes_along", expected="lower"),
    OVER_RUNS._replace(name="goes_along_in_a_cell", test="partial_correlation", expected="equal"),
    OVER_RUNS._replace(name="gap", family="asked", target="last_accuracy_gap"),
    CLAIM._replace(
        name="as_reported", test="mean", lambdas=["0"], against=None, value=0.81, expected="equal"
    ),
    RATIO._replace(
        name="as_flat", test="mean", lambdas=["0"], against=None, value=2.5, expected="equal"
    ),
    RATIO._replace(
        name="varies_more",
        family="bookkeeping",
        metric="last_test_accuracy",
        test="spread",
        lambdas=["0"],
        against={"lambda": None, "protocol": None, "dataset": "splits"},
        expected="higher",
    ),
    CLAIM._replace(name="same_runs", metric="best_test_accuracy", family="bookkeeping"),
    RATIO._replace(
        name="slower", metric=None, test="bench", way="theirs", lambdas=None, against=None
    )._replace(family="bookkeeping", value=1.5, expected="equal"),
]


def simulated() -> pd.DataFrame:
    """Runs of ten seeds; flatter and a little more accurate with lambda, some values missing."""
    rng = np.random.default_rng(0)
    cells = [("literal", "digits"), ("literal", "splits"), ("other", "digits")]
    rows = [
        {
            "key": f"{protocol}/{dataset}/{lam}/{seed}",
            "protocol": protocol,
            "dataset": dataset,
            "lambda": lam,
            "seed": seed,
            "status": "diverged" if (lam, seed) == ("1", 3) else "completed",
            "last_test_accuracy": np.round(0.81 + 0.004 * k + 0.003 * rng.standard_normal(), 4),
            "last_train_accuracy": 0.9 + 0.01 * rng.standard_normal(),
            "last_tr_h2": 2.5 * np.exp(0.05 * rng.standard_normal() - 0.5 * k),
            "best_test_accuracy": 0.83 + 0.001 * seed,
            "train_examples": 300,
            "test_examples": 100,
            "learning_rate": 0.1,
            "weight_decay": 0.0,
        }
        for protocol, dataset in cells
        for k, lam in enumerate(LAMBDAS)
        for seed in range(10)
    ]
    others = [f"{last}{part}_loss" for last in ("", "last_") for part in ("train", "test")]
    others += ["train_accuracy", "test_accuracy"]
    return pd.DataFrame(rows).assign(**dict.fromkeys(others, 0.5))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The tables of a study in which every kind of claim is tried."""
    rounds = (16 + np.random.default_rng(1).random(12)).tolist()
    timed = tmp_path / "cost.json"
    network = {"shape": {}, "rounds": {"theirs": rounds}}
    timed.write_text(json.dumps({"facts": {}, "networks": {"digits": network}}))
    metrics = simulated()
    runs = derived.of_metrics(metrics)
    evidence = Evidence(STUDY, runs, {"digits": 0.1}, timed)
    nothing = pd.DataFrame(columns=[*tables.RUN, "claim", "sha256", "commit"])
    judged = judge.judge(CLAIMS, evidence, Recorded({}, nothing, timed))
    folder = tmp_path / "results"
    (folder / "tables").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(STUDY))
    for name, table in (
        ("metrics", metrics),
        ("claims", judged),
        ("claim_runs", judge.behind(CLAIMS, runs)),
    ):
        table.to_csv(folder / f"tables/{name}.csv", index=False)
    return folder


def in_r(folder: Path, bench: Path) -> subprocess.CompletedProcess[str]:
    command = [str(RSCRIPT), str(SCRIPT), str(folder), str(bench)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


needs_r = pytest.mark.skipif(RSCRIPT is None, reason="needs Rscript (apt-get: r-base-core)")


@needs_r
def test_every_kind_of_trial_is_the_same_in_r(results: Path) -> None:
    done = in_r(results, results.parent / "cost.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CLAIMS)} of {len(CLAIMS)} deciding trials agree to 1e-06" in done.stdout
    verdicts = set(pd.read_csv(results / "tables/claims.csv")["verdict"])
    assert len(verdicts) >= 4, "the trials are too much alike"


@needs_r
@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("estimate", lambda x: x * (1 + 1e-5)),
        ("high", lambda x: x + 1e-4),
        ("p", lambda x: x / 2),
        ("verdict", lambda _: "reversed"),
    ],
)
def test_a_changed_number_is_found_in_r(results: Path, column: str, change: Any) -> None:
    path = results / "tables/claims.csv"
    claims = pd.read_csv(path, dtype={"lambda": str})
    claims.loc[0, column] = change(claims.loc[0, column])
    claims.to_csv(path, index=False)
    done = in_r(results, results.parent / "cost.json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"gain: {column} is " in done.stdout


@needs_r
@pytest.mark.parametrize("name", ["reference", "demo"])
def test_the_trials_of_a_study_are_the_same_in_r(name: str) -> None:
    folder = ROOT / "results" / name
    if not folder.exists():
        pytest.skip(f"results/{name} is not there")
    done = in_r(folder, ROOT / "bench/results/cost.json")
    assert done.returncode == 0, done.stdout + done.stderr
