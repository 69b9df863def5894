"""The demo on a real scheduler gives the same bytes as on one machine."""

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

# These hold times, or numbers computed from times.
TIMED = {"times.csv", "claims.csv"}
# Number of the demo's runs that are made again with --draw.
DRAWN = 6
RUN_FILES = (
    *("metrics.json", "epochs.csv", "params.npz", "last.npz"),
    *("curvature.json", "flatness.json"),
)


def compared(tables: set[str] | None = None) -> list[Path]:
    """Files that must equal those of the local demo: all or the named tables, and all runs'."""
    every = sorted((ROOT / RESULTS / "tables").glob("*.csv"))
    to_compare = [path for path in every if path.stem in (tables or {path.stem})]
    runs = [path for name in RUN_FILES for path in (ROOT / RESULTS / "runs").rglob(name)]
    return [path.relative_to(ROOT) for path in (*to_compare, *runs) if path.name not in TIMED]


def differences(folder: Path, path: Path) -> list[str]:
    """A file's name and the first lines that differ from the local file; empty if none do."""
    ours, theirs = (ROOT / path).read_bytes(), (folder / path).read_bytes()
    if ours == theirs:
        return []
    if path.suffix == ".npz":
        return [str(path)]
    lines = [content.decode().splitlines() for content in (ours, theirs)]
    return [str(path), *islice(unified_diff(*lines, "local", "cluster", n=0, lineterm=""), 20)]


def begun(copy: Callable[..., Project], seed: str | None, profile: str) -> Project:
    """A copy of the project without results, or with --draw, with a demo that lacks some runs."""
    if seed is None:
        return copy()
    project = copy(".snakemake", str(RESULTS))
    runs = sorted((project.folder / RESULTS / "runs").glob("*/*/*/*"))
    drawn = random.Random(f"{seed} {profile}").sample(runs, DRAWN)
    take_away(project.folder, [run.relative_to(project.folder / RESULTS) for run in drawn])
    return project


def test_the_demo_ends_in_the_same_bytes(copy: Callable[..., Project], seed: str | None) -> None:
    """Both profiles run at once: slurm up to the PDF, cluster-generic up to the tables of runs."""
    assert (ROOT / RESULTS / "paper.pdf").exists(), "run `make demo` first"
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
        output, _ = process.communicate()
        assert process.returncode == 0, output
        assert [line for path in paths for line in differences(project.folder, path)] == []
    assert (slurm.folder / RESULTS / "paper.pdf").stat().st_size > 100_000
    asked = slurm.cluster.run("squeue", "-h", "--states=all", "-o", "%j %C").splitlines()
    cores = {line.split()[1] for line in asked if not line.startswith("flatreg ")}
    assert cores == {"1"}, "as the profile says"
    assert len(asked) < 60, "60 jobs of the demo, and 30 more, are tens of the scheduler's"
