"""The demo through a real scheduler: the same bytes as on one machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.project import ROOT, Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RESULTS = Path("results/demo")
# They hold times, or what follows from times.
TIMED = {"times.csv", "claims.csv"}
RUN_FILES = ("metrics.json", "epochs.csv", "params.npz", "curvature.json")


def compared() -> list[Path]:
    """The files of the local demo that must be the same."""
    tables = sorted((ROOT / RESULTS / "tables").glob("*.csv"))
    runs = [path for name in RUN_FILES for path in (ROOT / RESULTS / "runs").rglob(name)]
    chosen = [path for path in (*tables, *runs) if path.name not in TIMED]
    return [path.relative_to(ROOT) for path in chosen]


def test_the_demo_ends_in_the_same_bytes(copy: Callable[[], Project]) -> None:
    """Through both profiles at once: the slurm plugin to the PDF, the generic one to the tables."""
    assert (ROOT / RESULTS / "paper.pdf").exists(), "`make demo` first"
    tables = [str(path) for path in compared() if path.parent.name == "tables"]
    projects = {"slurm": copy(), "cluster-generic": copy()}
    started = {
        "slurm": projects["slurm"].start("slurm", "--cores", "2"),
        "cluster-generic": projects["cluster-generic"].start(
            "cluster-generic", "--cores", "2", *tables
        ),
    }
    for name, process in started.items():
        said, _ = process.communicate()
        assert process.returncode == 0, (name, said)
        folder = projects[name].folder
        for path in compared():
            assert (folder / path).read_bytes() == (ROOT / path).read_bytes(), (name, path)
    assert (projects["slurm"].folder / RESULTS / "paper.pdf").stat().st_size > 100_000
    jobs = projects["slurm"].cluster.jobs("--states=all")
    assert len(jobs) < 60, "130 jobs of the demo, twice, are tens of the scheduler's"
