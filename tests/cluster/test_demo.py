"""The demo through a real scheduler: the same bytes as on one machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from difflib import unified_diff
from itertools import islice
from pathlib import Path

import pytest

from tests.cluster.project import RESULTS, Project, take_away
from tests.copies import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# They hold times, or what follows from times.
TIMED = {"times.csv", "claims.csv"}
# So many runs of the demo are made again where a seed draws.
DRAWN = 6
RUN_FILES = ("metrics.json", "epochs.csv", "params.npz", "curvature.json")


def compared(tables: set[str] | None = None) -> list[Path]:
    """The files of the local demo that must be the same: these tables, or all, and every run's."""
    made = sorted((ROOT / RESULTS / "tables").glob("*.csv"))
    chosen = [path for path in made if path.stem in (tables or {path.stem})]
    runs = [path for name in RUN_FILES for path in (ROOT / RESULTS / "runs").rglob(name)]
    return [path.relative_to(ROOT) for path in (*chosen, *runs) if path.name not in TIMED]


def differences(folder: Path, path: Path) -> list[str]:
    """In what a file differs from the local one: nothing, or its name and the first lines."""
    ours, theirs = (ROOT / path).read_bytes(), (folder / path).read_bytes()
    if ours == theirs:
        return []
    if path.suffix == ".npz":
        return [str(path)]
    lines = [content.decode().splitlines() for content in (ours, theirs)]
    return [str(path), *islice(unified_diff(*lines, "local", "cluster", n=0, lineterm=""), 20)]


def begun(copy: Callable[..., Project], seed: str | None, profile: str) -> Project:
    """A copy without results; where a seed draws, with a demo that lacks some runs."""
    if seed is None:
        return copy()
    project = copy(".snakemake", str(RESULTS))
    runs = sorted((project.folder / RESULTS / "runs").glob("*/*/*/*"))
    drawn = random.Random(f"{seed} {profile}").sample(runs, DRAWN)
    take_away(project.folder, [run.relative_to(project.folder / RESULTS) for run in drawn])
    return project


def test_the_demo_ends_in_the_same_bytes(copy: Callable[..., Project], seed: str | None) -> None:
    """Through both profiles at once: slurm to the PDF, cluster-generic to the tables of runs."""
    assert (ROOT / RESULTS / "paper.pdf").exists(), "`make demo` first"
    tables = {"metrics", "epochs", "summary", "tests"}
    targets = [str(RESULTS / "tables" / f"{name}.csv") for name in sorted(tables)]
    slurm, generic = (begun(copy, seed, name) for name in ("slurm", "cluster-generic"))
    started = [
        (slurm, slurm.start("slurm"), compared()),
        (
            generic,
            generic.start("cluster-generic", *targets),
            compared(tables),
        ),
    ]
    for project, process, paths in started:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        assert [line for path in paths for line in differences(project.folder, path)] == []
    assert (slurm.folder / RESULTS / "paper.pdf").stat().st_size > 100_000
    asked = slurm.cluster.run("squeue", "-h", "--states=all", "-o", "%j %C").splitlines()
    cores = {line.split()[1] for line in asked if not line.startswith("flatreg ")}
    assert cores == {"1"}, "as the profile says"
    assert len(asked) < 60, "130 jobs of the demo, and 90 more, are tens of the scheduler's"
