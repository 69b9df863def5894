"""A copy of the workflow in a folder of its own, in which all outputs seem to exist."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.copies import GENERATED, WORKFLOW, copy_parts

# Small, and with a data set of each kind: text, a search, a data set in both protocols.
STUDY = {
    "surface": {"protocol": "literal", "lambda": "0.1", "seed": 0},
    "claims": None,
    "estimates": None,
    "sample_sizes": {"protocol": "literal", "lambdas": None},
    "protocols": {
        "as_reported": None,
        "literal_fixed": None,
        "every_step": None,
        "every_step_fixed": None,
        "every_step_clipped": None,
        "every_tenth": None,
        "every_tenth_clipped": None,
        "adam": None,
        "adam_decoupled": None,
        "only_initialization": None,
        "only_order": None,
        "only_split": None,
        "only_dropout": None,
        "only_probes": None,
        "only_test_split": None,
        "stated": {
            "lambdas": ["0", "0.1"],
            "seeds": [0, 1],
            "datasets": {"cifar100": None, "imdb_reviews": None},
        },
        "literal": {
            "lambdas": ["0", "0.1"],
            "seeds": [0],
            "datasets": {
                "breast_cancer": {"seeds": [0]},
                "cifar100": None,
                "imdb_reviews": None,
                "newsgroups20": None,
                "newsgroups20_stripped": None,
            },
        },
    },
    "verify": {"runs": []},
}

# The content of every output, and its checksum.
MADE = "{}"
CHECKSUM = hashlib.sha256(MADE.encode()).hexdigest()


# As in the profiles.
TRIGGERS = ["--rerun-triggers", "mtime", "params", "code", "software-env"]


class Job(NamedTuple):
    """One planned job as `snakemake -n` prints it."""

    rule: str
    output: list[str]
    log: str
    benchmark: str
    resources: str


class Project:
    """A copy of the workflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *options: str, study: dict | None = None) -> subprocess.CompletedProcess:
        """Run Snakemake in the copy, on the small study with an overlay."""
        overlay = self.folder / "overlay.yaml"
        overlay.write_text(yaml.safe_dump(study or {}), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--cores", "1"]
        command += ["--workflow-profile", "none", *TRIGGERS, *options]
        command += ["--configfile", "study.yaml", overlay.name]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def plan(self, *options: str, study: dict | None = None) -> list[Job]:
        """The jobs that a dry run plans, except those without outputs."""
        done = self.snakemake("-n", *options, study=study)
        assert done.returncode == 0, done.stderr + done.stdout
        return [job for job in parse_jobs(done.stderr + done.stdout) if job.output != [""]]

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file of the copy."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def append(self, path: str, text: str) -> None:
        """Add text to a file of the copy."""
        with (self.folder / path).open("a", encoding="utf-8") as handle:
            handle.write(text)


def parse_jobs(text: str) -> list[Job]:
    """The jobs in the output of a dry run."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", text, re.MULTILINE)
    jobs = []
    for rule, block in blocks:
        lines = (line.strip().partition(": ") for line in block.splitlines())
        said = {key: value for key, _, value in lines}
        jobs.append(
            Job(
                rule,
                said.get("output", "").split(", "),
                said.get("log", ""),
                said.get("benchmark", ""),
                said.get("resources", ""),
            )
        )
    return jobs


def copy_workflow(folder: Path) -> Project:
    """Copy the files of the workflow."""
    copy_parts(folder, WORKFLOW, *GENERATED)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    return Project(folder)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy without any outputs."""
    return copy_workflow(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which Snakemake takes all outputs for finished."""
    project = copy_workflow(tmp_path_factory.mktemp("finished"))
    for job in project.plan():
        for name in job.output:
            path = project.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{CHECKSUM}  {path.stem}\n" if path.suffix == ".sha256" else MADE)
    done = project.snakemake("--touch", "--forceall")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def made(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished one, for a test to change."""
    shutil.copytree(finished.folder, tmp_path / "made", symlinks=True)
    return Project(tmp_path / "made")
