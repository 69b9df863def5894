"""The demo through a real scheduler: the same bytes as on one machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.project import Project
from tests.copies import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RESULTS = Path("results/demo")
# They hold times, or what follows from times.
TIMED = {"times.csv", "claims.csv"}
RUN_FILES = ("metrics.json", "epochs.csv", "params.npz", "curvature.json")


def compared(tables: set[str] | None = None) -> list[Path]:
    """The files of the local demo that must be the same: these tables, or all, and every run's."""
    made = sorted((ROOT / RESULTS / "tables").glob("*.csv"))
    chosen = [path for path in made if path.stem in (tables or {path.stem})]
    runs = [path for name in RUN_FILES for path in (ROOT / RESULTS / "runs").rglob(name)]
    return [path.relative_to(ROOT) for path in (*chosen, *runs) if path.name not in TIMED]


def test_the_demo_ends_in_the_same_bytes(copy: Callable[[], Project]) -> None:
    """Through both profiles at once: slurm to the PDF, cluster-generic to the tables of runs."""
    assert (ROOT / RESULTS / "paper.pdf").exists(), "`make demo` first"
    tables = {"metrics", "epochs", "summary", "tests"}
    targets = [str(RESULTS / "tables" / f"{name}.csv") for name in sorted(tables)]
    slurm, generic = copy(), copy()
    started = [
        (slurm, slurm.start("slurm", "--cores", "2"), compared()),
        (
            generic,
            generic.start("cluster-generic", "--cores", "2", *targets),
            compared(tables),
        ),
    ]
    for project, process, paths in started:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        for path in paths:
            same = (project.folder / path).read_bytes() == (ROOT / path).read_bytes()
            assert same, (project.folder, path)
    assert (slurm.folder / RESULTS / "paper.pdf").stat().st_size > 100_000
    jobs = slurm.cluster.jobs("--states=all")
    assert len(jobs) < 60, "130 jobs of the demo, and 90 more, are tens of the scheduler's"
