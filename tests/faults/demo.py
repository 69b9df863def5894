"""Copies of the finished demo to inject faults into, with real processes and data.

A copy holds all that `make demo` left. A test removes the outputs of one run and the collected
tables, so that Snakemake has work to do, and injects a fault before, during or after that work.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from flatreg import surroundings
from tests.copies import ROOT, WORKFLOW, copy_parts

RESULTS = Path("results/demo")
TABLES = RESULTS / "tables"
TARGET = TABLES / "metrics.csv"
PDF = RESULTS / "paper.pdf"
# The files that a repeated training must reproduce: all except times and facts.
TRAINED = ("metrics.json", "epochs.csv", "params.npz", "last.npz")
MEASURED = (*TRAINED, "curvature.json", "flatness.json")
SMALL = "stated/digits/lambda-0.1/seed-1"
# A block of runs, and the collected tables, from which the rest of the study is computed.
BLOCK = [SMALL, "stated/digits/lambda-0.1/seed-0"]
RUN = RESULTS / "runs" / SMALL
TARGETS = ["make_runs", TARGET, TABLES / "epochs.csv"]
# A step that takes longer counts as hanging (s).
PATIENCE = 240


class Demo:
    """A copy of the demo, and the inodes of its records before any fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = ids(folder)

    def run(self, name: str = SMALL) -> Path:
        """The folder of a run."""
        return self.folder / RESULTS / "runs" / name

    def take_away(self) -> None:
        """Remove the files of a block of runs and the tables collected from all runs."""
        for name in BLOCK:
            shutil.rmtree(self.run(name))
        for table in ("metrics", "epochs", "times"):
            (self.folder / TABLES / f"{table}.csv").unlink()

    def take_away_paper(self) -> None:
        """Remove the PDF."""
        (self.folder / PDF).unlink()

    def start(
        self,
        *options: str,
        target: Path | Sequence[Path | str] = TARGETS,
        environment: dict[str, str] | None = None,
        **more: Any,
    ) -> subprocess.Popen[str]:
        """Start Snakemake in its own session, as in a terminal."""
        targets = [target] if isinstance(target, Path) else target
        # The profile limits how often jobs start; with few jobs that only costs time.
        often = ["--max-jobs-per-timespan", "100/1s"]
        program = str(Path(sys.executable).with_name("snakemake"))
        command = [program, "--profile", "profiles/demo", *often]
        return subprocess.Popen(
            [*command, *options, "--", *map(str, targets)],
            cwd=self.folder,
            env=variables(self.folder) | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            **more,
        )

    def begin(self) -> subprocess.Popen[str]:
        """Remove a run and start Snakemake, which makes it again."""
        self.take_away()
        return self.start()

    def again(self, *options: str, **more: Any) -> str:
        """Re-run Snakemake, check that it succeeds, and return its output."""
        code, output = finish(self.start(*options, **more))
        assert code == 0, output
        return output

    def train(
        self, checkpoints: Path, out: Path, names: Sequence[str] = (SMALL,), every: int = 1
    ) -> list[str]:
        """The command with which the rule trains runs of a data set, with outputs below `out`."""
        flags = {
            "config": RESULTS / "config.json",
            "data": RESULTS / f"data/{names[0].split('/')[1]}.npz",
            "checkpoints": checkpoints,
            "checkpoint-every": every,
            "threads": 1,
            "compiled": RESULTS / "compiled",
        }
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        records = (str(run_in(out, name) / "metrics.json") for name in names)
        return [sys.executable, "-m", "flatreg.train", *words, "--runs", *records]

    def do(
        self, command: list[str], environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command of the library in the copy."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=variables(self.folder) | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


def run_in(out: Path, name: str = SMALL) -> Path:
    """The folder of a run that `Demo.train` trains."""
    return out / "runs" / name


def variables(folder: Path) -> dict[str, str]:
    """Environment variables with which processes import the copy's own library."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return surroundings.held(os.environ) | {"PATH": path, "PYTHONPATH": str(folder / "src")}


def copy_demo(folder: Path) -> Demo:
    """Copy the demo, keeping file times."""
    copy_parts(folder, [*WORKFLOW, ".snakemake", "results/demo"], "slurm_logs", "shadow")
    return Demo(folder)


def ids(folder: Path) -> dict[str, int]:
    """The inode of every run's record; a new inode means a new training."""
    records = (folder / RESULTS / "runs").rglob("metrics.json")
    return {str(path.relative_to(folder)): path.stat().st_ino for path in records}


def finish(process: subprocess.Popen[str], patience: float = PATIENCE) -> tuple[int, str]:
    """Exit code and output of a process that must end by itself within so many seconds."""
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        end(process)
        raise
    return process.returncode, output


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process and all its descendants, as a power cut would."""
    for victim in (*descendants(process.pid), process):
        try:
            victim.send_signal(signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    process.communicate()


def descendants(pid: int) -> list[psutil.Process]:
    """All descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_for_command(process: subprocess.Popen[str], module: str) -> psutil.Process:
    """Wait until a descendant of Snakemake runs a command of the library; return it."""
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
    """Wait until a condition is met; False if the process ends first."""
    return any(met() for _ in moments(process, pause=0.0005))


def moments(process: subprocess.Popen[str], pause: float = 0.01) -> Iterator[None]:
    """Yield repeatedly while a process runs, at most for `PATIENCE` seconds."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        yield
        time.sleep(pause)


def leftovers(folder: Path) -> list[str]:
    """Files left by killed processes that no later run has cleaned up."""
    partial = (
        path
        for path in (folder / "results").rglob("*")
        if ".partial" in path.name or "checkpoint-tmp" in path.name
    )
    checkpoints = (folder / RESULTS / "checkpoints").glob("*")
    incomplete = (folder / ".snakemake/incomplete").glob("*")
    return sorted(str(path.relative_to(folder)) for path in (*partial, *checkpoints, *incomplete))


def assert_made_up_for(demo: Demo, *, retrained: bool = True, **more: Any) -> str:
    """Check that one re-run restores the undisturbed demo and trains only what was lost.

    Returns:
        The output of the re-run.
    """
    output = demo.again(**more)
    for path in (TARGET, TABLES / "epochs.csv"):
        assert (demo.folder / path).read_bytes() == (ROOT / path).read_bytes(), path
    runs = [RESULTS / "runs" / name for name in BLOCK]
    for there in (run / file for run in runs for file in MEASURED):
        assert (demo.folder / there).read_bytes() == (ROOT / there).read_bytes(), there
    after = ids(demo.folder)
    lost = {str(run / "metrics.json") for run in runs} if retrained else set()
    assert {path for path in demo.before if demo.before[path] != after[path]} <= lost
    assert leftovers(demo.folder) == []
    return output


def assert_trained(out: Path, names: Sequence[str] = (SMALL,)) -> None:
    """Check that a training wrote the same files as the undisturbed one."""
    for path in (Path(name) / file for name in names for file in TRAINED):
        ours = ROOT / RESULTS / "runs" / path
        assert (out / "runs" / path).read_bytes() == ours.read_bytes(), path


def assert_paper_made_anew(demo: Demo) -> None:
    """Check that one re-run restores the same PDF."""
    demo.again(target=PDF)
    assert (demo.folder / PDF).read_bytes() == (ROOT / PDF).read_bytes()
    assert leftovers(demo.folder) == []


def assert_no_traceback(output: str) -> None:
    """Check that an error is reported without a traceback."""
    assert "Traceback" not in output, output
