"""Result tables: from run folders to tests, and the errors for invalid ones."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatreg import config, tables
from flatreg.disk.files import read_sealed, sha256, write_checksum, write_json, write_sealed
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.tables import collect, compare, summarize
from flatreg.tables.evidence import (
    FLATNESS_TABLE,
    REGISTERED_CLAIMS_TABLE,
    REGISTRATIONS_TABLE,
)

STUDY = {
    "protocols": {
        "stated": {
            "datasets": {"digits": {"lambdas": ["0", "0.01"], "seeds": [0, 1, 2]}},
        }
    },
    "analysis": {"alpha": 0.05, "power": 0.8},
}
LEDGER = {"path": "claims.yaml", "commit": "c" * 40, "claims": {"gain": "a" * 64, "loss": "b" * 64}}
MEASURED = dict.fromkeys(
    ["tr_h", "tr_h_stderr", "tr_h2", "tr_h2_stderr", "lambda_max", "lambda_max_stderr"], 1.5
)


def metrics_of(run: config.Run, accuracy: float | None) -> dict[str, Any]:
    diverged = accuracy is None
    shares = dict.fromkeys(
        ["test_accuracy", "best_test_accuracy", "train_accuracy", "validation_accuracy"], accuracy
    )
    losses = dict.fromkeys(
        ["train_loss", "validation_loss", "test_loss", "parameter_norm"], None if diverged else 1.0
    )
    return {
        "protocol": run.protocol,
        "dataset": run.dataset,
        "lambda": run.lam,
        "seed": run.seed,
        "key": f"{hash(run) % 16**8:016x}",
        "status": "diverged" if diverged else "completed",
        "diverged_step": 7 if diverged else None,
        "epochs": 1,
        "steps": 10,
        "kept_epoch": None if diverged else 1,
        **shares,
        **losses,
        "train_examples": 100,
        "test_examples": 50,
        "tr_h2_training": None,
        "tr_h2_epochs": 2.0,
        "learning_rate": 0.1,
        "weight_decay": 0.0,
        "data_sha256": "0" * 64,
    }


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    """Run folders of two cells, in which one run diverged."""
    completed = STUDY | {"paths": {"results": str(tmp_path)}}
    accuracies = iter([0.90, 0.91, 0.92, 0.95, 0.97, None])
    for run in config.runs(completed):
        folder = run_dir(tmp_path, *run)
        folder.mkdir(parents=True)
        metrics = metrics_of(run, next(accuracies))
        split = None if metrics["status"] == "diverged" else MEASURED | {"probes": 20}
        curvature = {"key": metrics["key"], "train": split, "test": split, "last": split}
        flatness = {"key": metrics["key"], "measures": {"sam": 1.0, "asam": 2.0} if split else {}}
        timing = dict.fromkeys(
            ["setup_seconds", "compile_seconds", "train_seconds", "measure_seconds"], 1.0
        ) | {"total_seconds": 4.0, "steps": 10, "resumed": 0}
        columns = list(tables.EPOCHS_TABLE.columns)[len(tables.RUN) :]
        pd.DataFrame([[1, 10, *[0.5] * (len(columns) - 2)]], columns=columns).to_csv(
            folder / "epochs.csv", index=False
        )
        sums = {"epochs.csv_sha256": sha256(folder / "epochs.csv")}
        write_sealed(folder / "metrics.json", metrics | sums)
        write_sealed(folder / "curvature.json", curvature)
        write_sealed(folder / "flatness.json", flatness)
        write_json(folder / "timing.json", timing)
        write_json(folder / "facts.json", {"ledger": LEDGER if run.seed else None})
    (tmp_path / "config.json").write_text(json.dumps(completed))
    return completed


def collected(study: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    results = Path(study["paths"]["results"])
    flags = ["--config", str(results / "config.json"), "--out", str(results / "tables")]
    monkeypatch.setattr("sys.argv", ["collect", *flags])
    collect.main()
    return results / "tables" / "metrics.csv"


def test_flatness_has_a_row_for_each_measure_of_a_run_that_did_not_diverge(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = tables.read(collected(study, monkeypatch), tables.METRICS_TABLE)
    path = Path(study["paths"]["results"]) / "tables/flatness.csv"
    found = tables.read(path, FLATNESS_TABLE)
    ended = metrics.loc[metrics["status"] == "completed", "key"]
    assert found["key"].tolist() == [key for key in ended for _ in range(2)]
    assert found["measure"].tolist() == ["sam", "asam"] * len(ended)
    assert found["value"].tolist() == [1.0, 2.0] * len(ended)


def test_what_runs_registered_is_told_once(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = collected(study, monkeypatch).parent
    runs = tables.read(folder / "registrations.csv", REGISTRATIONS_TABLE)
    claims = tables.read(folder / "registered_claims.csv", REGISTERED_CLAIMS_TABLE)
    assert dict(zip(claims["claim"], claims["sha256"], strict=True)) == LEDGER["claims"]
    assert runs["seed"][runs["ledger"].isna()].tolist() == [0, 0]
    named = runs[runs["seed"] > 0]
    assert set(named["ledger"]) == set(claims["ledger"])
    assert set(named["commit"]) == {"c" * 40}


def test_epochs_of_runs_stay_with_their_run(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Path(study["paths"]["results"])
    for number, run in enumerate(config.runs(study), start=1):
        one = pd.read_csv(run_dir(results, *run) / "epochs.csv")
        longer = pd.concat([one.assign(epoch=i, train_loss=number + i / 8) for i in range(number)])
        rewrite_epochs(run_dir(results, *run), longer)
    epochs = tables.read(collected(study, monkeypatch).with_name("epochs.csv"), tables.EPOCHS_TABLE)
    expected = [
        (run.lam, run.seed, i, number + i / 8)
        for number, run in enumerate(config.runs(study), start=1)
        for i in range(number)
    ]
    columns = ["lambda", "seed", "epoch", "train_loss"]
    assert list(epochs[columns].itertuples(index=False, name=None)) == expected


def test_epochs_with_other_columns_are_refused(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_dir(Path(study["paths"]["results"]), "stated", "digits", "0", 1)
    rewrite_epochs(folder, pd.read_csv(folder / "epochs.csv").iloc[:, ::-1])
    with pytest.raises(UserError, match=r"seed-1/epochs.csv has other columns than the first"):
        collected(study, monkeypatch)


def rewrite_epochs(folder: Path, epochs: pd.DataFrame) -> None:
    """Write other epochs for a run, and its record to match."""
    epochs.to_csv(folder / "epochs.csv", index=False)
    metrics = read_sealed(folder / "metrics.json")
    write_sealed(
        folder / "metrics.json", metrics | {"epochs.csv_sha256": sha256(folder / "epochs.csv")}
    )


def test_every_run_has_a_row_also_one_that_diverged(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collected(study, monkeypatch)
    metrics = tables.read(path, tables.METRICS_TABLE)
    assert list(metrics.columns[:9]) == [
        *["protocol", "dataset", "lambda", "seed", "status"],
        *["test_accuracy", "best_test_accuracy", "tr_h2", "tr_h2_stderr"],
    ]
    assert metrics["lambda"].tolist() == ["0"] * 3 + ["0.01"] * 3
    last = metrics.iloc[-1]
    assert (last["status"], last["diverged_step"]) == ("diverged", 7)
    assert np.isnan(last["test_accuracy"])
    assert np.isnan(last["tr_h2"])


def test_diverged_runs_are_counted_and_not_averaged(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = tables.read(collected(study, monkeypatch), tables.METRICS_TABLE)
    summary = summarize.summarize(metrics, 0.05).set_index(["lambda", "metric"])
    cell = summary.loc[("0.01", "test_accuracy")]
    assert (cell["n"], cell["diverged"]) == (2, 1)
    assert cell["mean"] == pytest.approx(0.96)
    tests = compare.compare(metrics, 0.05, 0.8).set_index("metric")
    row = tests.loc["test_accuracy"]
    assert (row["n"], row["n_baseline"], row["n_pairs"], row["diverged"]) == (2, 3, 2, 1)
    assert row["difference"] == pytest.approx(0.05)
    assert row["welch_p_holm"] == row["welch_p"]  # a family of one
    assert "all runs agree" in tests.loc["tr_h2", "note"]


def test_tables_are_written_and_read_alike(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metrics = tables.read(collected(study, monkeypatch), tables.METRICS_TABLE)
    tests = compare.compare(metrics, 0.05, 0.8)
    tables.write(tmp_path / "tests.csv", tests, tables.TESTS_TABLE)
    again = tables.read(tmp_path / "tests.csv", tables.TESTS_TABLE)
    np.testing.assert_array_equal(again["welch_p"], tests["welch_p"].astype(float))
    tables.write(tmp_path / "again.csv", again, tables.TESTS_TABLE)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "tests.csv").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_accuracy,best", "accuracy,best", "column 'test_accuracy' is missing"),
        (",0.91,", ",1.91,", r"column 'test_accuracy', row 3: 1.91 is out of range"),
        (",0.91,", ",high,", r"column 'test_accuracy', row 3: 'high' is not a number"),
        ("completed", "done", r"column 'status', row 2: 'done' is out of range"),
    ],
)
def test_a_bad_table_is_one_line(
    study: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    message: str,
) -> None:
    path = collected(study, monkeypatch)
    path.write_text(path.read_text().replace(old, new, 1))
    write_checksum(path)
    with pytest.raises(UserError, match=message) as caught:
        tables.read(path, tables.METRICS_TABLE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_was_edited_by_hand_stops_the_next_stage(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = collected(study, monkeypatch)
    command = [
        sys.executable,
        "-m",
        "flatreg.tables.summarize",
        "--config",
        tmp_path / "config.json",
    ]
    command += ["--metrics", path, "--out", tmp_path / "summary.csv"]
    subprocess.run(command, check=True)
    (tmp_path / "summary.csv").unlink()
    path.write_text(path.read_text().replace(",0.91,", ",0.92,", 1))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path} was changed after it was made (its checksum differs); "
        "delete it and run again\n"
    )
    assert not (tmp_path / "summary.csv").exists()


def test_a_metric_that_was_edited_by_hand_is_not_collected(
    study: dict[str, Any], tmp_path: Path
) -> None:
    path = run_dir(tmp_path, "stated", "digits", "0", 1) / "metrics.json"
    path.write_text(path.read_text().replace("0.91", "0.92"))
    command = [sys.executable, "-m", "flatreg.tables.collect", "--config", tmp_path / "config.json"]
    command += ["--out", tmp_path / "tables"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path} was changed after it was made (its seal is broken); "
        "delete it and run again\n"
    )
    assert not (tmp_path / "tables").exists()


def test_checksums_are_those_of_sha256sum(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collected(study, monkeypatch)
    for name in ("metrics", "epochs", "times"):
        said = (path.parent / f"{name}.csv.sha256").read_text()
        digest = hashlib.sha256((path.parent / f"{name}.csv").read_bytes()).hexdigest()
        assert said == f"{digest}  {name}.csv\n"


def test_a_table_without_a_checksum_is_read(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collected(study, monkeypatch)
    path.with_name("metrics.csv.sha256").unlink()
    assert len(tables.read(path, tables.METRICS_TABLE)) == 6


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics.csv is missing; run the rule"):
        tables.read(tmp_path / "metrics.csv", tables.METRICS_TABLE)


def test_curvature_of_another_run_is_refused(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_dir(Path(study["paths"]["results"]), "stated", "digits", "0", 1)
    write_sealed(folder / "curvature.json", {"key": "other", "train": None})
    with pytest.raises(UserError, match=r"curvature.json is of run other, not"):
        collected(study, monkeypatch)
