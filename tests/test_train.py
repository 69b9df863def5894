"""The commands train, select and measure as processes of their own, on Breast Cancer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatreg import config, datasets

REPOSITORY = Path(__file__).parents[1]
SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.json"
COMPARED = ("metrics.json", "epochs.csv", "params.npz")


def flatreg(stage: str, *flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"flatreg.{stage}", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's resolved config and Breast Cancer prepared."""
    folder = tmp_path_factory.mktemp("study")
    overlay = folder / "overlay.yaml"
    overlay.write_text(
        "protocols: {stated: {datasets: {breast_cancer: {epochs: 40}}}, tuned: {datasets: "
        "{breast_cancer: {epochs: 2, search: {learning_rate: [0.001, 0.003]}}}}}\n"
    )
    files = [REPOSITORY / "config.yaml", REPOSITORY / "profiles/demo/study.yaml", overlay]
    resolved = config.read(files, SCHEMA)
    (folder / "config.json").write_text(json.dumps(resolved))
    done = flatreg(
        *["prepare", "--config", folder / "config.json", "--dataset", "breast_cancer"],
        *["--out", folder / "data.npz", "--manifest", folder / "data.json"],
    )
    assert done.returncode == 0, done.stderr
    return folder


def train_flags(study: Path, out: Path, protocol: str = "stated", **changes: Any) -> list[Any]:
    flags = {
        "config": study / "config.json",
        "protocol": protocol,
        "dataset": "breast_cancer",
        "lambda": "0.01",
        "seed": 0,
        "data": study / "data.npz",
        "checkpoints": study / "checkpoints",
        "checkpoint-every": 2,
        "threads": 1,
        "compiled": study / "compiled",
        "out": out,
    } | changes
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


@pytest.fixture(scope="module")
def unbroken(study: Path) -> Path:
    done = flatreg("train", *train_flags(study, study / "unbroken"))
    assert done.returncode == 0, done.stderr
    return study / "unbroken"


def checkpoint_steps(study: Path) -> list[Path]:
    found = (study / "checkpoints").glob("*/*")
    return sorted((p for p in found if p.name.isdigit()), key=lambda path: int(path.name))


def kill_at_checkpoint(study: Path, out: Path) -> None:
    """Start a training and kill it once a checkpoint of it is there."""
    command = [sys.executable, "-m", "flatreg.train", *map(str, train_flags(study, out))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(checkpoint_steps(study)) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "metrics.json").exists()


def test_a_run_writes_its_folder_and_leaves_no_checkpoint(study: Path, unbroken: Path) -> None:
    assert sorted(path.name for path in unbroken.iterdir()) == [
        *["epochs.csv", "facts.json", "metrics.json", "params.npz", "timing.json"],
    ]
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert metrics["epochs"] == 40
    assert metrics["status"] == "completed"
    facts = json.loads((unbroken / "facts.json").read_text())
    assert facts["packages"]["jax"]
    assert checkpoint_steps(study) == []


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(study: Path, unbroken: Path) -> None:
    out = study / "killed"
    kill_at_checkpoint(study, out)
    done = flatreg("train", *train_flags(study, out))
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stdout
    assert json.loads((out / "timing.json").read_text())["resumed"] > 0
    for name in COMPARED:
        assert (out / name).read_bytes() == (unbroken / name).read_bytes()


@pytest.mark.slow
def test_a_broken_checkpoint_is_passed_over(study: Path, unbroken: Path) -> None:
    out = study / "broken"
    kill_at_checkpoint(study, out)
    newest = checkpoint_steps(study)[-1]
    for path in [p for p in newest.rglob("*") if p.is_file()]:
        path.write_bytes(b"rubbish")
    done = flatreg("train", *train_flags(study, out))
    assert done.returncode == 0, done.stderr
    assert f"checkpoint of epoch {newest.name} is broken, going back" in done.stdout
    for name in COMPARED:
        assert (out / name).read_bytes() == (unbroken / name).read_bytes()


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_refused(study: Path) -> None:
    kill_at_checkpoint(study, study / "first")
    (folder,) = (study / "checkpoints").iterdir()
    resolved = json.loads((study / "config.json").read_text())
    run = config.Run("stated", "breast_cancer", "0.01", 1)
    sha256 = datasets.load(study / "data.npz").sha256
    folder.rename(folder.with_name(config.run_key(config.settings(resolved, run), sha256)))
    done = flatreg("train", *train_flags(study, study / "second", seed=1))
    assert done.returncode == 2
    assert done.stderr.startswith("error: checkpoint ")
    assert "is of run" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (study / "second").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lambda": "0.5"}, "lambda 0.5 is not one of stated/breast_cancer's"),
        ({"protocol": "state"}, "protocol 'state' is not in the config; did you mean stated?"),
        ({"data": "nowhere.npz"}, "nowhere.npz is missing; prepare the data first"),
        ({"protocol": "tuned"}, "takes its learning rate from a search"),
    ],
)
def test_a_mistake_is_one_line(study: Path, changes: dict[str, Any], message: str) -> None:
    done = flatreg("train", *train_flags(study, study / "mistake", **changes))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (study / "mistake").exists()


@pytest.mark.slow
def test_a_search_never_reads_the_test_split(study: Path) -> None:
    """The choice is the same when the test split is noise."""
    with np.load(study / "data.npz") as arrays:
        noise = dict(arrays)
    noise["x_test"] = np.full_like(noise["x_test"], 1e6)
    noise["y_test"] = 1 - noise["y_test"]
    np.savez(study / "noise.npz", **noise)
    for name in ("data", "noise"):
        done = flatreg(
            *["select", "--config", study / "config.json", "--protocol", "tuned"],
            *["--dataset", "breast_cancer", "--data", study / f"{name}.npz"],
            *["--threads", 1, "--out", study / f"selected-{name}.json"],
        )
        assert done.returncode == 0, done.stderr
    real, blind = ((study / f"selected-{n}.json").read_bytes() for n in ("data", "noise"))
    assert real == blind
    found = json.loads(real)
    assert len(found["tried"]) == 2
    best = max(found["tried"], key=lambda t: (t["validation_accuracy"], -t["validation_loss"]))
    assert found["selected"]["learning_rate"] == best["learning_rate"]


@pytest.mark.slow
def test_measuring_a_run_writes_both_splits(study: Path, unbroken: Path) -> None:
    done = flatreg(
        *["measure", "--config", study / "config.json", "--run", unbroken],
        *["--data", study / "data.npz", "--threads", 1, "--out", study / "curvature.json"],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((study / "curvature.json").read_text())
    assert found["train"]["examples"] == 256
    assert found["test"]["examples"] == 114
    for split in ("train", "test"):
        assert found[split]["tr_h2"] > 0
        assert found[split]["lambda_max"] <= np.sqrt(found[split]["tr_h2"]) * 1.2


def test_the_suite_runs_the_code_of_this_repository() -> None:
    done = flatreg("train", "--help")
    assert done.returncode == 0
    assert "--lambda" in done.stdout
    assert os.path.commonpath([config.__file__, REPOSITORY]) == str(REPOSITORY)
