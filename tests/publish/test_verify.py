"""Runs compared with the reference: byte for byte on its platform, else within a tolerance."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flatreg import machine, tables
from flatreg.config import Run
from flatreg.disk.files import read_json, read_sealed, write_json, write_sealed
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.publish import verify

RUN = Run("stated", "digits", "0.1", 0)
TOLERANCE = {"accuracy": 0.02, "relative": 0.25}
ROW = {
    "protocol": "stated",
    "dataset": "digits",
    "lambda": "0.1",
    "seed": "0",
    "status": "completed",
    "test_accuracy": "0.9",
    "best_test_accuracy": "0.91",
    "tr_h2": "12.5",
    "tr_h2_stderr": "0.2",
    "key": "0123456789abcdef",
    "train_loss": "0.3",
    "test_loss": "0.4",
    "tr_h": "8.0",
    "lambda_max": "2.0",
    "parameter_norm": "20.0",
    "last_test_accuracy": "0.9",
    "last_train_loss": "0.3",
    "last_test_loss": "0.4",
    "last_tr_h2": "12.5",
    "last_lambda_max": "2.0",
    "data_sha256": "abc",
}
DIVERGED = (
    ROW
    | {"status": "diverged"}
    | dict.fromkeys(
        ["test_accuracy", "tr_h2", "tr_h2_stderr", "train_loss", "test_loss", "tr_h", "lambda_max"],
        "",
    )
)


def differing(found: dict[str, str], tolerance: dict[str, float] | None, **changed: str):
    """Return the columns in which `found`, with `changed` applied, differs from `ROW`."""
    (result,) = verify.compare([RUN], {RUN: ROW}, {RUN: found | changed}, tolerance)
    return result.differing


@pytest.mark.parametrize("column", [name for name in ROW if name != "key"])
def test_at_home_every_byte_of_every_column_counts(column):
    assert differing(ROW, None) == []
    assert differing(ROW, None, **{column: ROW[column] + "0"}) == [column]


def test_at_home_a_column_more_counts():
    assert differing(ROW, None, surprise="1") == ["surprise"]


@pytest.mark.parametrize(
    ("column", "near", "far"),
    [
        ("test_accuracy", "0.919", "0.921"),
        ("test_accuracy", "0.881", "0.879"),
        ("best_test_accuracy", "0.929", "0.931"),
        ("tr_h2", "16.6", "16.7"),  # relative to the larger of the two
        ("tr_h2", "9.4", "9.3"),
        ("test_loss", "0.5", "0.6"),
        ("last_test_accuracy", "0.919", "0.921"),
        ("last_tr_h2", "16.6", "16.7"),
        ("parameter_norm", "16", "14"),
        ("tr_h", "10", "11"),
        ("lambda_max", "2.4", "-2.0"),
        ("lambda_max", "1.6", "nan"),
    ],
)
def test_elsewhere_the_tolerance_decides(column, near, far):
    assert differing(ROW, TOLERANCE, **{column: near}) == []
    assert differing(ROW, TOLERANCE, **{column: far}) == [column]


def test_elsewhere_what_only_describes_is_not_held_to_the_tolerance():
    assert differing(ROW, TOLERANCE, tr_h2_stderr="99") == []


@pytest.mark.parametrize("column", ["status", "data_sha256"])
def test_elsewhere_names_must_still_be_equal(column):
    assert differing(ROW, TOLERANCE, **{column: "other"}) == [column]


def test_a_diverged_run_agrees_with_a_diverged_run_only():
    (same,) = verify.compare([RUN], {RUN: DIVERGED}, {RUN: DIVERGED}, TOLERANCE)
    assert same.differing == []
    assert {"status", "test_accuracy", "tr_h2"} <= set(differing(DIVERGED, TOLERANCE))


def test_other_settings_are_told_apart_from_other_numbers():
    with pytest.raises(UserError, match=r"stated/digits/lambda-0\.1/seed-0 has other settings"):
        differing(ROW, TOLERANCE, key="fedcba9876543210")


def test_a_run_that_the_reference_lacks_is_one_line():
    with pytest.raises(UserError, match=r"no stated/digits/lambda-0\.1/seed-0"):
        verify.compare([RUN], {}, {RUN: ROW}, None)


def facts() -> dict[str, Any]:
    """Return those of a run made here."""
    return machine.describe() | {"device": "cpu"}


def test_the_same_machine_is_the_same_platform():
    here = facts()
    assert verify.differing_facts(here, facts()) == []
    other = here | {"processor": "another", "packages": here["packages"] | {"jax": "0.0.1"}}
    assert verify.differing_facts(other, here) == ["packages", "processor"]
    assert verify.differing_facts(here | {"commit": "another"}, here) == []


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a metrics table from strings, unchanged."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_rows_are_read_as_they_stand(tmp_path):
    write_rows(tmp_path / "metrics.csv", [ROW])
    assert verify.read_rows(tmp_path / "metrics.csv") == {RUN: ROW}


def test_a_missing_table_or_column_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.csv is missing"):
        verify.read_rows(tmp_path / "metrics.csv")
    write_rows(tmp_path / "metrics.csv", [{k: v for k, v in ROW.items() if k != "tr_h2"}])
    with pytest.raises(UserError, match="lacks the column tr_h2"):
        verify.read_rows(tmp_path / "metrics.csv")


def test_no_named_run_is_one_line():
    with pytest.raises(UserError, match=r"verify\.runs: names no run"):
        verify.verified_runs({"verify": {"runs": []}})


METRICS = {
    "protocol": "stated",
    "dataset": "digits",
    "lambda": "0.1",
    "seed": 0,
    "key": "0123456789abcdef",
    "status": "completed",
    "diverged_step": None,
    "epochs": 2,
    "steps": 20,
    "kept_epoch": 2,
    "train_loss": 0.25,
    "train_accuracy": 0.95,
    "validation_loss": 0.3,
    "validation_accuracy": 0.94,
    "test_loss": 0.31,
    "test_accuracy": 0.9361111111111111,
    "best_test_accuracy": 0.94,
    "tr_h2_training": 12.5,
    "tr_h2_epochs": 11.5,
    "parameter_norm": 20.25,
    "train_examples": 1293,
    "test_examples": 360,
    "learning_rate": 0.01,
    "weight_decay": 0.0005,
    "data_sha256": "abc",
}
TRACES = {
    name: value
    for what in ("tr_h", "tr_h2", "lambda_max")
    for name, value in ((what, 3.25), (f"{what}_stderr", 0.0625))
}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a folder with one run, its completed config and a reference that agrees with it."""
    results, reference = tmp_path / "results", tmp_path / "reference"
    folder = run_dir(results, *RUN)
    write_sealed(folder / "metrics.json", METRICS)
    measured = {**TRACES, "examples": 64, "probes": 40, "reached": True}
    curvature = {"key": METRICS["key"], "status": "completed"}
    curvature |= dict.fromkeys(("train", "test", "last"), measured)
    write_sealed(folder / "curvature.json", curvature)
    write_json(folder / "facts.json", facts())
    named = {"protocol": "stated", "dataset": "digits", "lambda": "0.1", "seed": 0}
    config = {
        "paths": {"results": str(results)},
        "verify": {"runs": [named], "tolerance": TOLERANCE},
    }
    write_json(tmp_path / "config.json", config)
    write_json(reference / "facts.json", facts())
    tables.write(reference / "metrics.csv", verify.metrics([folder]), tables.METRICS_TABLE)
    return tmp_path


def run_verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the flags that make passes."""
    command = [
        sys.executable,
        "-m",
        "flatreg.publish.verify",
        "--config",
        str(folder / "config.json"),
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)


def hold(folder: Path) -> subprocess.CompletedProcess[str]:
    """Compare the folder's run with its reference."""
    return run_verify(
        folder,
        *("--reference", str(folder / "reference/metrics.csv")),
        *("--results", str(folder / "results")),
    )


def change(path: Path, **changed: object) -> None:
    """Change some fields of a sealed record."""
    write_sealed(path, read_sealed(path) | changed)


@pytest.mark.slow
def test_the_command_lists_what_it_needs(made):
    listed = run_verify(made, "--list").stdout.split()
    assert listed == [
        str(run_dir(made / "results", *RUN) / name) for name in ("metrics.json", "curvature.json")
    ]


@pytest.mark.slow
def test_the_command_compares_bytes_at_home(made):
    agreeing = hold(made)
    assert agreeing.returncode == 0, agreeing.stderr
    assert "identical" in agreeing.stdout
    assert "compared byte for byte" in " ".join(agreeing.stdout.split())
    change(run_dir(made / "results", *RUN) / "metrics.json", test_accuracy=0.9361111111111112)
    differing = hold(made)
    assert differing.returncode == 1
    (line,) = differing.stderr.splitlines()
    assert line.startswith("error: 1 of 1 runs differ from ")
    assert line.endswith("metrics.csv: stated/digits/lambda-0.1/seed-0")
    assert "test_accuracy" in differing.stdout


@pytest.mark.slow
def test_the_command_allows_the_tolerance_elsewhere(made):
    path = made / "reference/facts.json"
    write_json(path, read_json(path) | {"processor": "another"})
    change(run_dir(made / "results", *RUN) / "metrics.json", test_accuracy=0.95, train_loss=0.3)
    agreeing = hold(made)
    assert agreeing.returncode == 0, agreeing.stderr
    assert "processor differ" in " ".join(agreeing.stdout.split())
    assert "within tolerance" in agreeing.stdout
    change(run_dir(made / "results", *RUN) / "metrics.json", test_accuracy=0.99)
    assert hold(made).returncode == 1
