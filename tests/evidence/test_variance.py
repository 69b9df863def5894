"""Causes of randomness: variances computed by hand, and errors for invalid configs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatreg import tables
from flatreg.errors import UserError
from flatreg.evidence import variance
from flatreg.tables.evidence import VARIANCE_TABLE

USUAL = ["initialization", "order", "dropout", "probes"]
ACCURACIES = {
    ("tuned", "0.01"): [0.90, 0.92, 0.94, 0.96],
    ("tuned", "0"): [0.5, 0.6, 0.7, 0.8],
    ("order_only", "0.01"): [0.92, 0.92, 0.93, 0.95],
    ("probes_only", "0.01"): [0.93, 0.93, 0.93, None],
    ("split_only", "0.01"): [0.90, 0.95, 0.97, 0.98],
    ("both_splits", "0.01"): [0.7, 0.8, 0.9, 0.95],
}


def protocol(lambdas: list[str], extends: str | None, **fields: Any) -> dict[str, Any]:
    chosen = {"source": "breast_cancer", "lambdas": lambdas, "seeds": [0, 1, 2, 3], **fields}
    return {"extends": extends, "datasets": {"breast": chosen}}


@pytest.fixture
def config() -> dict[str, Any]:
    return {
        "analysis": {"alpha": 0.05, "power": 0.8},
        "protocols": {
            "split_only": protocol(["0.01"], "tuned", varies=["split"], test_examples=400),
            "tuned": protocol(["0", "0.01"], None, varies=USUAL, test_examples=None),
            "probes_only": protocol(["0.01"], "tuned", varies=["probes"]),
            "order_only": protocol(["0.01"], "tuned", varies=["order"]),
            "both_splits": protocol(["0.01"], "tuned", varies=["split", "test_split"]),
        },
    }


@pytest.fixture
def metrics() -> pd.DataFrame:
    rows = [
        {
            "protocol": name,
            "dataset": "breast",
            "lambda": lam,
            "seed": seed,
            "status": "diverged" if accuracy is None else "completed",
            "test_accuracy": accuracy,
            "test_loss": None if accuracy is None else 1 - accuracy,
            "tr_h2": None if accuracy is None else 2.0,
            "key": "0" * 16,
            "epochs": 1,
            "steps": 1,
            "data_sha256": "0" * 64,
        }
        for (name, lam), accuracies in ACCURACIES.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    frame = pd.DataFrame(rows, columns=list(tables.METRICS_TABLE.columns))
    return tables.check(frame, tables.METRICS_TABLE, "metrics")


def of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[table["metric"] == metric].set_index("source")


def test_each_source_has_its_share_by_hand(config: dict[str, Any], metrics: pd.DataFrame) -> None:
    done = of(variance.variance(config, metrics, {"breast_cancer": 100}, seed=0), "test_accuracy")
    assert list(done.index) == ["all", "order", "probes", "split"]
    assert list(done["protocol"]) == ["tuned", "order_only", "probes_only", "split_only"]
    assert set(done["lambda"]) == {"0.01"}
    # Deviations of 0.03, 0.01, 0.01, 0.03 and of 0.01, 0.01, 0, 0.02, in three degrees of freedom.
    assert done.loc["all", "sd"] == pytest.approx(np.sqrt(0.0020 / 3))
    assert done.loc["order", "sd"] == pytest.approx(np.sqrt(0.0006 / 3))
    assert done.loc["all", "share"] == 1
    assert done.loc["order", "share"] == pytest.approx(0.3)
    assert done.loc["order", "low"] < done.loc["order", "sd"] < done.loc["order", "high"]
    assert pd.isna(done.loc["order", "note"])


def test_a_source_without_effect_has_share_0_and_diverged_runs_are_counted(
    config: dict[str, Any], metrics: pd.DataFrame
) -> None:
    done = of(variance.variance(config, metrics, {"breast_cancer": 100}, seed=0), "test_accuracy")
    probes = done.loc["probes"]
    assert (probes["n"], probes["diverged"], probes["sd"], probes["share"]) == (3, 1, 0, 0)
    assert probes["note"] == "all runs agree: no interval"


def test_a_cause_that_the_extended_protocol_holds_is_no_part_of_its_variance(
    config: dict[str, Any], metrics: pd.DataFrame
) -> None:
    done = of(variance.variance(config, metrics, {"breast_cancer": 100}, seed=0), "test_accuracy")
    assert done.loc["split", "note"] == "split is held in tuned: no part of its variance"
    assert done.loc["split", "share"] > 1


def test_the_test_set_s_part_is_the_binomial_s(
    config: dict[str, Any], metrics: pd.DataFrame
) -> None:
    done = variance.variance(config, metrics, {"breast_cancer": 100}, seed=0)
    accuracy = of(done, "test_accuracy")
    assert accuracy.loc["all", "sampling_sd"] == pytest.approx(np.sqrt(0.93 * 0.07 / 100))
    # A data set's own number of test examples takes precedence over the manifest's.
    assert accuracy.loc["split", "sampling_sd"] == pytest.approx(np.sqrt(0.95 * 0.05 / 400))
    assert of(done, "test_loss")["sampling_sd"].isna().all()
    unknown = of(variance.variance(config, metrics, {}, seed=0), "test_accuracy").loc["all"]
    assert np.isnan(unknown["sampling_sd"])
    assert unknown["note"] == "no manifest says how large the test set is"


def test_no_spread_at_all_has_no_shares(config: dict[str, Any], metrics: pd.DataFrame) -> None:
    done = of(variance.variance(config, metrics, {"breast_cancer": 100}, seed=0), "tr_h2")
    assert np.isnan(done.loc["order", "share"])
    assert "no share: tuned's runs have no spread" in done.loc["order", "note"]


def test_a_study_without_such_protocols_has_no_rows(
    config: dict[str, Any], metrics: pd.DataFrame
) -> None:
    config["protocols"] = {"tuned": config["protocols"]["tuned"]}
    done = variance.variance(config, metrics, {}, seed=0)
    assert len(tables.check(done, VARIANCE_TABLE, "variance")) == 0


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            "order_only",
            {"lambdas": ["0", "0.01"]},
            "config: protocols.order_only.datasets.breast.lambdas: order is varied at one lambda; "
            "keep one",
        ),
        (
            "order_only",
            {"lambdas": ["0"]},
            "config: protocols.order_only.datasets.breast: extends tuned at lambda 0, "
            "but protocols before it extend tuned at lambda 0.01; use one for all",
        ),
        (
            "order_only",
            {"varies": ["probes"]},
            "config: protocols.order_only.datasets.breast: probes is varied on this data set "
            "already; keep one",
        ),
    ],
)
def test_what_gives_no_table_is_one_line(
    config: dict[str, Any], name: str, fields: dict[str, Any], message: str
) -> None:
    config["protocols"][name]["datasets"]["breast"] |= fields
    with pytest.raises(UserError) as caught:
        variance.cells(config)
    assert str(caught.value) == message


def test_an_extended_protocol_must_have_the_data_set(config: dict[str, Any]) -> None:
    del config["protocols"]["tuned"]
    with pytest.raises(UserError, match="tuned, which it extends, has no breast; add it"):
        variance.cells(config)


def test_the_command_writes_the_table(
    tmp_path: Path, config: dict[str, Any], metrics: pd.DataFrame
) -> None:
    files = {
        name: tmp_path / name for name in ("config.json", "metrics.csv", "a.json", "variance.csv")
    }
    files["config.json"].write_text(json.dumps(config))
    tables.write(files["metrics.csv"], metrics, tables.METRICS_TABLE)
    manifest = {"source": "breast_cancer", "splits": {"test": {"examples": 114}}}
    files["a.json"].write_text(json.dumps(manifest))
    command = [sys.executable, "-m", "flatreg.evidence", "variance"]
    for flag in ("config.json", "metrics.csv"):
        command += [f"--{Path(flag).stem}", str(files[flag])]
    command += ["--manifests", str(files["a.json"]), "--out", str(tmp_path)]
    subprocess.run(command, check=True)
    done = tables.read(files["variance.csv"], VARIANCE_TABLE)
    assert len(done) == 4 * len(variance.METRICS)
    accuracy = of(done, "test_accuracy")
    assert accuracy.loc["all", "sampling_sd"] == pytest.approx(np.sqrt(0.93 * 0.07 / 114))
