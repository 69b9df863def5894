"""Faults around the pipeline: disk, memory, clock, folder, language, a second Snakemake."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.faults.demo import (
    PDF,
    RESULTS,
    TARGET,
    Demo,
    assert_made_up_for,
    assert_no_traceback,
    assert_paper_made_anew,
    assert_trained,
    copy_demo,
    finish,
    leftovers,
    wait_for_command,
)

pytestmark = pytest.mark.slow

FULL = "free some space and run again"


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk except for `leave` bytes; return the file that fills it."""
    free = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return ballast


# ── Disks ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("leave", [4_096, 60_000])
def test_the_disk_is_full_during_training(
    demo: Demo, small_disk: Callable[..., Path], leave: int
) -> None:
    disk = small_disk()
    demo.take_away()
    ballast = fill(disk, leave)
    code, output = finish(demo.start())
    assert code != 0
    assert_no_traceback(output)
    ballast.unlink()
    demo.before = {}
    assert_made_up_for(demo)


@pytest.mark.parametrize("leave", [10_000, 60_000, 120_000, 300_000])
def test_the_disk_is_full_during_a_checkpoint(
    demo: Demo, small_disk: Callable[..., Path], tmp_path: Path, leave: int
) -> None:
    disk = small_disk(Path("disk"), megabytes=4)
    ballast = fill(disk, leave)
    command = demo.train(disk / "checkpoints", tmp_path / "out")
    code, output = finish(demo.do(command))
    assert code == 2, output
    assert FULL in output.splitlines()[-1]
    assert_no_traceback(output)
    ballast.unlink()
    code, output = finish(demo.do(command))
    assert code == 0, output
    assert_trained(tmp_path / "out")


def test_the_disk_is_full_during_latex(demo: Demo, small_disk: Callable[..., Path]) -> None:
    """The full disk holds TMPDIR, where LaTeX works."""
    disk = small_disk(Path("disk"), megabytes=4)
    fill(disk, 200_000)
    demo.take_away_paper()
    code, output = finish(demo.start(target=PDF, environment={"TMPDIR": str(disk)}))
    assert code != 0
    assert_no_traceback(output)
    assert not (demo.folder / PDF).exists()
    assert_paper_made_anew(demo)


def test_results_are_read_only(
    demo: Demo, small_disk: Callable[..., Path], moment: np.random.Generator
) -> None:
    disk = small_disk()
    demo.take_away()
    demo.before = {}
    process = demo.start()
    time.sleep(moment.uniform(0, 8))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=False)
    _, output = finish(process)
    assert_no_traceback(output)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert_made_up_for(demo)


# ── Memory, clock, a second Snakemake ─────────────────────────────────────────


@pytest.mark.parametrize("injection", range(2))
def test_memory_runs_out(demo: Demo, moment: np.random.Generator, injection: int) -> None:
    process = demo.begin()
    training = wait_for_command(process, "flatreg.train")
    time.sleep(moment.uniform(0.5, 2.5))
    if training.is_running():
        limit = training.memory_info().vms + int(moment.integers(0, 2**20))
        resource.prlimit(training.pid, resource.RLIMIT_AS, (limit, limit))
    finish(process)
    assert_made_up_for(demo)


@pytest.mark.parametrize("hours", [30, -30])
def test_the_clock_is_set_to_another_time(demo: Demo, hours: int) -> None:
    """All files seem to be from the future or too old, but their contents are unchanged."""
    shift = hours * 3600 * 10**9
    for path in (demo.folder / RESULTS).rglob("*"):
        times = path.stat()
        os.utime(path, ns=(times.st_atime_ns + shift, times.st_mtime_ns + shift))
    demo.take_away()
    assert_made_up_for(demo)


def test_data_seem_newer_than_what_was_made_of_them(demo: Demo) -> None:
    """Data that were copied without their times cause no new training."""
    for path in (demo.folder / RESULTS / "data").iterdir():
        path.touch()
    demo.take_away()
    assert_made_up_for(demo)


@pytest.mark.parametrize("injection", range(2))
def test_two_at_once(demo: Demo, moment: np.random.Generator, injection: int) -> None:
    """The second Snakemake is refused in one line, or starts after the first has finished."""
    demo.take_away()
    first = demo.start()
    time.sleep(moment.uniform(0, 10))
    second = demo.start()
    ends = [finish(process) for process in (first, second)]
    assert any(code == 0 for code, _ in ends), ends
    for code, output in ends:
        assert_no_traceback(output)
        if code:
            assert f"error: {RESULTS} is in use by another snakemake, process " in output
    assert_made_up_for(demo)


# ── Where ────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["two words", 'l\'été à "Nîmes"', "$(touch x); `touch y` & #"])
def test_a_folder_with_another_name(tmp_path: Path, name: str) -> None:
    demo = copy_demo(tmp_path / name)
    demo.take_away()
    assert_made_up_for(demo)
    assert not list(tmp_path.rglob("[xy]"))


# ── One run that goes wrong by itself ─────────────────────────────────────────


def test_one_run_ends_in_nan(demo: Demo) -> None:
    """The run is counted, the others are unchanged, and without it the table is as before."""
    lam = "1e30"
    before = (demo.folder / TARGET).read_bytes()
    entry = {"lambdas": ["0", "0.01", "0.1", lam], "seeds": [0]}
    overlay = {"protocols": {"stated": {"datasets": {"digits": entry}}}}
    (demo.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    config = ["--configfile", "profiles/demo/study.yaml", "overlay.yaml"]
    code, output = finish(demo.start(*config, target=TARGET))
    assert code == 0, output
    rows = (demo.folder / TARGET).read_text().splitlines()
    diverged = [row for row in rows if f"stated,digits,{lam},0,diverged" in row]
    assert len(diverged) == 1
    shared = [row for row in rows if row in before.decode().splitlines()]
    assert len(shared) == len(rows) - 1
    demo.again()
    assert (demo.folder / TARGET).read_bytes() == before
    assert leftovers(demo.folder) == []
