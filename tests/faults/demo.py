"""Copies of the finished demo to break something in: real processes, on real data.

A copy is the folder that `make demo` left. In it the outputs of one run are taken away, and the
collected tables with them, so that there is something to do; while it is done, or before, or after,
something goes wrong.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from flatreg import machine
from tests.copies import ROOT, WORKFLOW, copy_parts

RESULTS = Path("results/demo")
TABLES = RESULTS / "tables"
TARGET = TABLES / "metrics.csv"
PDF = RESULTS / "paper.pdf"
# Of a run, what a killed training, made up for, must end in: all but times and circumstances.
TRAINED = ("metrics.json", "epochs.csv", "params.npz")
MEASURED = (*TRAINED, "curvature.json")
SMALL = "stated/digits/lambda-0.1/seed-1"
# A run and the table of all: of the whole study, what the rest is computed from.
RUN = RESULTS / "runs" / SMALL
TARGETS = [RUN / "metrics.json", RUN / "curvature.json", TARGET, TABLES / "epochs.csv"]
# The longest that a step is given before it counts as hanging (s).
PATIENCE = 240


class Demo:
    """A copy of the demo, and what it was like before anything was done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = ids(folder)

    def run(self, name: str = SMALL) -> Path:
        """The folder of a run."""
        return self.folder / RESULTS / "runs" / name

    def take_away(self, name: str = SMALL) -> None:
        """Take a run's files away, and the tables that are collected from all runs."""
        shutil.rmtree(self.run(name))
        for table in ("metrics", "epochs", "times"):
            (self.folder / TABLES / f"{table}.csv").unlink()

    def take_away_paper(self) -> None:
        """Take the PDF away."""
        (self.folder / PDF).unlink()

    def start(
        self, *options: str, target: Path | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start Snakemake in a session of its own, as in a terminal."""
        # Few jobs need not save the scheduler's time, as the profile does.
        often = ["--max-jobs-per-timespan", "100/1s"]
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/demo", *often]
        return subprocess.Popen(
            [*command, *options, "--", *map(str, TARGETS if target is None else [target])],
            cwd=self.folder,
            env=surroundings(self.folder) | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def begin(self) -> subprocess.Popen[str]:
        """Take a run away and start Snakemake, which makes it anew."""
        self.take_away()
        return self.start()

    def again(self, *options: str, target: Path | None = None, **more: Any) -> str:
        """What one plain re-run says; it must succeed."""
        code, said = finish(self.start(*options, target=target, **more))
        assert code == 0, said
        return said

    def train(self, checkpoints: Path, out: Path, name: str = SMALL, every: int = 1) -> list[str]:
        """The command that trains a run as its rule does, into a folder of its own."""
        protocol, dataset, lam, seed = name.split("/")
        flags = {
            "config": RESULTS / "config.json",
            "protocol": protocol,
            "dataset": dataset,
            "lambda": lam.removeprefix("lambda-"),
            "seed": seed.removeprefix("seed-"),
            "data": RESULTS / f"data/{dataset}.npz",
            "checkpoints": checkpoints,
            "checkpoint-every": every,
            "threads": 1,
            "compiled": RESULTS / "compiled",
            "out": out,
        }
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", "flatreg.train", *words]

    def do(self, command: list[str]) -> subprocess.Popen[str]:
        """Start a command of the library in the copy."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=surroundings(self.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


def surroundings(folder: Path) -> dict[str, str]:
    """The environment in which a copy's own library is used."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(folder / "src")}
    return os.environ | own | machine.environment()


def copy_demo(folder: Path) -> Demo:
    """Copy the demo, times and all."""
    copy_parts(folder, [*WORKFLOW, ".snakemake", "results/demo"], "slurm_logs", "shadow")
    return Demo(folder)


def ids(folder: Path) -> dict[str, int]:
    """The inode of every run's record: another one is another training."""
    records = (folder / RESULTS / "runs").rglob("metrics.json")
    return {str(path.relative_to(folder)): path.stat().st_ino for path in records}


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and words of a process that must end by itself."""
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        end(process)
        raise
    return process.returncode, said


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process and all below it, as a power cut would."""
    for victim in (*descendants(process.pid), process):
        try:
            victim.send_signal(signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    process.communicate()


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_for_command(process: subprocess.Popen[str], module: str) -> psutil.Process:
    """The process below Snakemake that runs a command of the library, once it is there."""
    for _ in moments(process):
        for child in descendants(process.pid):
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if module in words and words[0].rpartition("/")[2].startswith("python"):
                return child
    raise AssertionError(f"{module} was never run: {process.communicate()[0]}")


def wait_until(process: subprocess.Popen[str], met: Callable[[], object]) -> bool:
    """Wait until something is so; False where the process ended before."""
    return any(met() for _ in moments(process, pause=0.0005))


def moments(process: subprocess.Popen[str], pause: float = 0.01) -> Iterator[None]:
    """As long as a process runs, and not forever."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        yield
        time.sleep(pause)


def leftovers(folder: Path) -> list[str]:
    """Files that only a process which was killed, and never made up for, leaves."""
    found = (
        path
        for path in (folder / "results").rglob("*")
        if ".partial" in path.name or "checkpoint-tmp" in path.name
    )
    kept = (folder / RESULTS / "checkpoints").glob("*")
    incomplete = (folder / ".snakemake/incomplete").glob("*")
    return sorted(str(path.relative_to(folder)) for path in (*found, *kept, *incomplete))


def assert_made_up_for(demo: Demo, *, retrained: bool = True, **more: Any) -> str:
    """After one plain re-run all is as in the demo that nothing happened to.

    Only what was lost is trained. Returns what the re-run said.
    """
    said = demo.again(**more)
    for path in (TARGET, TABLES / "epochs.csv"):
        assert (demo.folder / path).read_bytes() == (ROOT / path).read_bytes(), path
    for file in MEASURED:
        there = RUN / file
        assert (demo.folder / there).read_bytes() == (ROOT / there).read_bytes(), there
    after = ids(demo.folder)
    lost = {str(RUN / "metrics.json")} if retrained else set()
    assert {path for path in demo.before if demo.before[path] != after[path]} <= lost
    assert leftovers(demo.folder) == []
    return said


def assert_trained(out: Path) -> None:
    """A training into a folder of its own has written what the undisturbed one has."""
    for name in TRAINED:
        assert (out / name).read_bytes() == (ROOT / RUN / name).read_bytes(), name


def assert_paper_made_anew(demo: Demo) -> None:
    """One plain re-run makes the PDF as it was."""
    demo.again(target=PDF)
    assert (demo.folder / PDF).read_bytes() == (ROOT / PDF).read_bytes()
    assert leftovers(demo.folder) == []


def assert_no_traceback(said: str) -> None:
    """What went wrong is told in a line."""
    assert "Traceback" not in said, said
