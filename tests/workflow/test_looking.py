"""Commands that only look change nothing and need no right to write; a run says what it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import TRIGGERS, Project, copy_workflow

pytestmark = pytest.mark.slow

DAMAGED = "results/tables/metrics.csv"
# Root without its power to write anywhere.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]


def seen(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All files but Snakemake's own: inode, time and size."""
    return {
        str(path.relative_to(folder)): (state.st_ino, state.st_mtime_ns, state.st_size)
        for path in folder.rglob("*")
        if ".snakemake" not in path.parts and "__pycache__" not in path.parts
        for state in [path.lstat()]
    }


def snakemake(project: Project, *options: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in a copy, on its small study, by somebody who may not write everywhere."""
    command = [
        sys.executable,
        "-B",
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--workflow-profile",
        "none",
    ]
    return subprocess.run(
        [
            *(AS_ANYBODY if os.geteuid() == 0 else []),
            *[*command, *TRIGGERS, "--nolock", *options, "--configfile", "study.yaml"],
        ],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def damaged(made: Project) -> Project:
    """A finished study with a number that was edited by hand."""
    made.append(DAMAGED, "0.99\n")
    return made


@pytest.fixture
def read_only(made: Project) -> Iterator[Project]:
    """A finished study, without the right to write in the results and in Snakemake's folder."""
    closed = [
        path
        for name in ("results", ".snakemake", "paper")
        for path in [made.folder / name, *(made.folder / name).rglob("*")]
    ]
    for path in closed:
        path.chmod(path.stat().st_mode & ~0o222)
    yield made
    for path in closed:
        if path.exists():
            path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.parametrize("command", ["-n", "--list-rules", "--rulegraph", "--unlock", "--lint"])
def test_looking_changes_nothing(damaged: Project, command: str) -> None:
    before = seen(damaged.folder)
    done = snakemake(damaged, command)
    assert done.returncode == 0, done.stderr
    assert seen(damaged.folder) == before
    if command == "-n":
        assert f"{DAMAGED} is damaged: a run will make it again" in done.stdout + done.stderr


def test_a_study_that_was_never_begun_is_looked_at(tmp_path: Path) -> None:
    """Its results may be a link."""
    project = copy_workflow(tmp_path / "new")
    (tmp_path / "scratch").mkdir()
    (project.folder / "results").symlink_to("../scratch")
    before = seen(project.folder)
    done = snakemake(project, "-n")
    assert done.returncode == 0, done.stderr
    assert seen(project.folder) == before
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("command", [["-n"], ["--summary"], ["--report", "report.html"]])
def test_looking_needs_no_right_to_write(read_only: Project, command: list[str]) -> None:
    done = snakemake(read_only, *command)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_needs_the_right_to_write(read_only: Project) -> None:
    before = seen(read_only.folder)
    done = snakemake(read_only)
    assert done.returncode != 0
    assert f"error: cannot write to {read_only.folder}/results; " in done.stderr
    assert "Traceback" not in done.stderr
    assert seen(read_only.folder) == before


def test_a_run_mends_what_it_needs(damaged: Project) -> None:
    done = snakemake(damaged, "--touch", "results/tables/summary.csv")
    assert f"{DAMAGED} is damaged: moved to {DAMAGED}.damaged" in done.stderr
    assert not (damaged.folder / DAMAGED).exists()


@pytest.mark.parametrize(
    ("link", "command"),
    [
        ("results", "-n"),
        ("results/logs", "--summary"),
        (".snakemake", "-n"),
        ("paper/generated", "--list-rules"),
        ("paper/main.pdf", "-n"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(made: Project, link: str, command: str) -> None:
    place = made.folder / link
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.symlink_to("/scratch/purged")
    done = snakemake(made, command)
    assert done.returncode != 0
    line = f"error: {place} is a link to /scratch/purged, which is missing; "
    assert [said for said in done.stderr.splitlines() if said.startswith(line)], done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_with_nothing_to_do_changes_locks_and_plans_alone(made: Project) -> None:
    """Else a report would seem older than what it shows."""
    target = "results/data/breast_cancer.npz"
    snakemake(made, target)
    before = seen(made.folder)
    done = snakemake(made, target)
    assert done.returncode == 0, done.stderr
    changed = {path for path, facts in seen(made.folder).items() if facts != before.get(path)}
    assert all(Path(path).name.startswith(".") for path in changed), changed
