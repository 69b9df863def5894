"""From the results of an archive, what follows from its runs is made, and nothing is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flatreg import config
from flatreg.publish import archive, unpack
from tests.copies import ROOT
from tests.studies import make_up

from .conftest import Job, Project

pytestmark = pytest.mark.slow

RUN = "results/runs/literal/breast_cancer/lambda-0/seed-0"
# The stages before the tables, and how rules of blocks begin.
STAGES, BLOCKS = ("data", "train", "measure"), ("train_", "measure_")
# Some rules after them.
LATER = {"collect_tables", "summarize_cells", "correlate_flatness", "draw_accuracy"}
LATER |= {"compile_paper", "write_explore_page", "execute_notebook", "write_crate"}


def is_before(job: Job) -> bool:
    """Whether a job belongs to a stage before the tables."""
    texts = [(ROOT / f"workflow/rules/{stage}.smk").read_text() for stage in STAGES]
    return job.rule.startswith(BLOCKS) or any(f"rule {job.rule}:" in text for text in texts)


@pytest.fixture
def unpacked(fresh: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the workflow with an archive of its study, of made-up contents, in its results."""
    project = Project(tmp_path / "here")
    shutil.copytree(fresh.folder, project.folder, symlinks=True)
    files = [project.folder / name for name in ("config.yaml", "study.yaml")]
    study = config.read(files, project.folder / "workflow/schemas/config.schema.json")
    before = [name for job in fresh.plan() if is_before(job) for name in job.output]
    needed = [Path(name).relative_to("results") for name in before if ".sha256" not in name]
    make_up(study, tmp_path / "there", *map(str, needed))
    monkeypatch.chdir(tmp_path / "there")
    archive.write(study, tmp_path / "archive.tar.xz")
    unpack.place(unpack.read(tmp_path / "archive.tar.xz"), project.folder / "results")
    return project


def test_nothing_before_the_tables_is_made(fresh: Project, unpacked: Project) -> None:
    later = {job.rule for job in fresh.plan() if not is_before(job)}
    assert later >= LATER
    assert {job.rule for job in unpacked.plan()} == later


def test_what_would_need_a_training_is_one_line(unpacked: Project) -> None:
    seeds = {"protocols": {"literal": {"datasets": {"breast_cancer": {"seeds": [0, 1]}}}}}
    done = unpacked.snakemake("-n", study=seeds)
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if "error" in line.lower())
    assert line.startswith("error: the archive in results is of a study whose config differs in ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("damage", "said"), [(Path.unlink, "is missing"), (Path.touch, None)], ids=["gone", "touched"]
)
def test_files_of_the_archive_must_stay(damage, said: str | None, unpacked: Project) -> None:
    damage(unpacked.folder / RUN / "curvature.json")
    done = unpacked.snakemake("-n")
    assert (done.returncode == 0) == (said is None), done.stderr
    if said:
        assert f"error: {RUN}/curvature.json {said} since it was unpacked" in done.stderr
