"""Processes killed, terminated or interrupted at moments drawn from a fixed seed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.demo import (
    BLOCK,
    RESULTS,
    ROOT,
    RUN,
    TARGET,
    TRAINED,
    Demo,
    assert_made_up_for,
    assert_no_traceback,
    assert_trained,
    end,
    finish,
    leftovers,
    run_in,
    wait_for_command,
    wait_until,
)

pytestmark = pytest.mark.slow

# Approximate duration of the small run, and of the pipeline around it (s).
TRAINING = 4.0
PIPELINE = 9.0


def assert_whole(folder: Path) -> None:
    """Check that every file of a run that exists already has its final contents."""
    for name in TRAINED:
        if (folder / name).exists():
            assert (folder / name).read_bytes() == (ROOT / RUN / name).read_bytes(), name


# ── A training by itself ──────────────────────────────────────────────────────


@pytest.mark.parametrize("injection", range(20))
def test_kill_and_resume(
    demo: Demo, tmp_path: Path, moment: np.random.Generator, injection: int
) -> None:
    """A block is killed; all injections end in the same bytes of its three runs."""
    out = demo.folder / RESULTS / "killed"
    names = [*BLOCK, "stated/digits/lambda-0.01/seed-0"]
    command = demo.train(tmp_path / "checkpoints", out, names)
    process = demo.do(command)
    time.sleep(moment.uniform(0, TRAINING))
    end(process)
    code, output = finish(demo.do(command))
    assert code == 0, output
    assert_trained(out, names)
    assert leftovers(demo.folder) == []


@pytest.mark.parametrize("injection", range(12))
def test_kill_while_a_checkpoint_is_written(
    demo: Demo, tmp_path: Path, moment: np.random.Generator, injection: int
) -> None:
    checkpoints, out = tmp_path / "checkpoints", tmp_path / "killed"
    epoch = int(moment.integers(1, 9))
    process = demo.do(demo.train(checkpoints, out))
    assert wait_until(process, lambda: list(checkpoints.glob(f"*/epochs/{epoch}.orbax*")))
    time.sleep(moment.uniform(0, 0.02))
    end(process)
    code, output = finish(demo.do(demo.train(checkpoints, out)))
    assert code == 0, output
    assert_trained(out)
    assert [path.name for path in checkpoints.glob("*/*")] in (
        ["finished", "lock"],
        ["lock", "finished"],
    )


@pytest.mark.parametrize("injection", range(10))
def test_kill_while_results_are_written(
    demo: Demo, tmp_path: Path, moment: np.random.Generator, injection: int
) -> None:
    """Parameters, CSV and JSON are each whole or absent; partial files are removed."""
    out = tmp_path / "killed"
    process = demo.do(demo.train(tmp_path / "checkpoints", out))
    folder = run_in(out)
    assert wait_until(process, lambda: folder.exists() and list(folder.iterdir()))
    time.sleep(moment.uniform(0, 0.01))
    end(process)
    assert_whole(folder)
    code, output = finish(demo.do(demo.train(tmp_path / "checkpoints", out)))
    assert code == 0, output
    assert_trained(out)
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("injection", range(2))
def test_kill_while_a_table_is_written(
    demo: Demo, moment: np.random.Generator, injection: int
) -> None:
    demo.take_away()
    for name in BLOCK:
        demo.again(target=RESULTS / "runs" / name / "curvature.json")
    process = demo.start()
    tables = demo.folder / TARGET.parent
    assert wait_until(process, lambda: list(tables.glob(".*.partial.csv")))
    time.sleep(moment.uniform(0, 0.005))
    end(process)
    assert_made_up_for(demo)


@pytest.mark.parametrize("injection", range(3))
def test_kill_a_search(
    demo: Demo, tmp_path: Path, moment: np.random.Generator, injection: int
) -> None:
    out = tmp_path / "selected.json"
    command = [
        *[sys.executable, "-m", "flatreg.train.select", "--config", str(RESULTS / "config.json")],
        *["--protocol", "literal", "--dataset", "digits", "--lambda", "0.1", "--threads", "1"],
        *["--compiled", str(RESULTS / "compiled")],
        *["--data", str(RESULTS / "data/digits.npz")],
        *["--checkpoints", str(tmp_path / "checkpoints"), "--out", str(out)],
    ]
    process = demo.do(command)
    time.sleep(moment.uniform(0, TRAINING))
    end(process)
    code, output = finish(demo.do(command))
    assert code == 0, output
    selected = ROOT / RESULTS / "selection/literal/digits/lambda-0.1.json"
    assert out.read_bytes() == selected.read_bytes()


# ── In the pipeline ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("injection", range(2))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signal_to_a_training(
    demo: Demo, moment: np.random.Generator, number: signal.Signals, injection: int
) -> None:
    process = demo.begin()
    training = wait_for_command(process, "flatreg.train")
    time.sleep(moment.uniform(0, TRAINING - 1))
    if training.is_running():
        training.send_signal(number)
    _, output = finish(process)
    assert_no_traceback(output)
    assert_made_up_for(demo)


def test_kill_between_the_runs_of_a_block(demo: Demo) -> None:
    """Runs that are complete are not repeated with those that the killed block had finished."""
    process = demo.begin()
    assert wait_until(process, lambda: (demo.run(BLOCK[1]) / "metrics.json").exists())
    end(process)
    assert_made_up_for(demo)


def test_kill_a_measurement(demo: Demo, moment: np.random.Generator) -> None:
    process = demo.begin()
    measurement = wait_for_command(process, "flatreg.measure")
    time.sleep(moment.uniform(0, 2))
    if measurement.is_running():
        measurement.kill()
    finish(process)
    assert_made_up_for(demo)


@pytest.mark.parametrize("injection", range(3))
def test_ctrl_c(demo: Demo, moment: np.random.Generator, injection: int) -> None:
    """SIGINT to Snakemake and its descendants, as from a terminal."""
    process = demo.begin()
    time.sleep(moment.uniform(0.5, PIPELINE))
    os.killpg(process.pid, signal.SIGINT)
    finish(process)
    assert_made_up_for(demo)


@pytest.mark.parametrize("injection", range(4))
def test_kill_everything(demo: Demo, moment: np.random.Generator, injection: int) -> None:
    """SIGKILL to Snakemake and its descendants; a re-run needs no unlocking."""
    process = demo.begin()
    time.sleep(moment.uniform(0, PIPELINE))
    end(process)
    assert_made_up_for(demo)


@pytest.mark.parametrize("injection", range(2))
def test_kill_snakemake_alone(demo: Demo, moment: np.random.Generator, injection: int) -> None:
    """The jobs that Snakemake started go on without it while the re-run works."""
    process = demo.begin()
    wait_for_command(process, "flatreg.train")
    time.sleep(moment.uniform(0, TRAINING - 1))
    process.kill()
    process.wait()
    process.stdout.close()  # its children still hold the other end
    assert_made_up_for(demo)
