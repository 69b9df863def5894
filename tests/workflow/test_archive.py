"""From the results of an archive, what follows from its runs is made, and nothing is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flatreg import config
from flatreg.publish import archive, unpack
from tests.studies import make_up

from .conftest import Project

pytestmark = pytest.mark.slow

SURFACES = ["surfaces/breast_cancer.npz", "surfaces/newsgroups20.npz"]
RUN = "results/runs/tuned/breast_cancer/lambda-0/seed-0"
# How the rules of the stages before the tables begin, and some of the others.
BEFORE = ("prepare_", "extract_", "select_", "train_", "measure_", "map_", "rescale_", "find_")
AFTER = {"collect_tables", "summarize_cells", "correlate_flatness", "draw_accuracy"}
AFTER |= {"compile_paper", "write_explore_page", "execute_notebook", "write_crate"}


@pytest.fixture
def unpacked(fresh: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the workflow with an archive of its study, of made-up contents, in its results."""
    project = Project(tmp_path / "here")
    shutil.copytree(fresh.folder, project.folder, symlinks=True)
    files = [project.folder / name for name in ("config.yaml", "study.yaml")]
    study = config.read(files, project.folder / "workflow/schemas/config.schema.json")
    needed = [
        *[f"data/{name}.json" for name in config.sources(study)],
        *[f"surfaces/{name}.npz" for name in config.surface_datasets(study)],
        *[f"examples/{run.dataset}.npz" for run in config.runs(study)],
        *[f"tables/{name}.csv" for name in archive.MEASURED],
    ]
    make_up(study, tmp_path / "there", *needed)
    monkeypatch.chdir(tmp_path / "there")
    archive.write(study, tmp_path / "archive.tar.xz")
    unpack.place(unpack.read(tmp_path / "archive.tar.xz"), project.folder / "results")
    return project


def test_nothing_before_the_tables_is_made(fresh: Project, unpacked: Project) -> None:
    rules = {job.rule for job in fresh.plan()}
    assert rules >= AFTER, AFTER - rules
    later = {rule for rule in rules if not rule.startswith(BEFORE)}
    assert {job.rule for job in unpacked.plan()} == later


def test_what_would_need_a_training_is_one_line(unpacked: Project) -> None:
    seeds = {"protocols": {"tuned": {"datasets": {"breast_cancer": {"seeds": [0, 1]}}}}}
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
