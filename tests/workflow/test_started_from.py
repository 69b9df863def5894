"""The workflow as a module of another, from another folder, and without git."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.copies import GENERATED, WORKFLOW, copy_parts

from .conftest import STUDY, TRIGGERS
from .test_looking import AS_ANYBODY, seen

pytestmark = pytest.mark.slow

# One data set with two short runs.
SMALL = STUDY | {
    "surface": {"protocol": "stated", "lambda": "0.1", "seed": 0},
    "sample_sizes": None,
    "measure": {"examples": 32, "max_probes": 2, "block_probes": 2, "lanczos_steps": 2},
    "protocols": {
        **dict.fromkeys(STUDY["protocols"]),
        "stated": {
            "lambdas": ["0", "0.1"],
            "seeds": [0],
            "datasets": {
                "breast_cancer": {"epochs": 1},
                **dict.fromkeys(["cifar100", "imdb_reviews", "newsgroups20", "digits"]),
                "newsgroups20_stripped": None,
            },
        },
    },
}
DATA = "results/data/breast_cancer.npz"
NO_COMMIT = "this copy has no git repository of its own"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked archive, which has no git, in a folder with a difficult name, behind a link."""
    folder = tmp_path_factory.mktemp("archive")
    copy_parts(folder / "Étude nº 1", WORKFLOW, *GENERATED)
    (folder / "link").symlink_to("Étude nº 1")
    return folder / "link"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with nothing but the overlay of a small study."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return tmp_path


def snakemake(
    folder: Path, checkout: Path, *options: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, with the library of a checkout."""
    command = [sys.executable, "-B", "-m", "snakemake", *TRIGGERS]
    if "--profile" not in options:
        command += ["--cores", "1", "--workflow-profile", "none"]
    return subprocess.run(
        [*before, *command, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(checkout / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def use_as_module(folder: Path, checkout: Path, how: str, *fields: str) -> None:
    """Write a Snakefile that uses the workflow like one that `snakedeploy` writes."""
    lines = [
        f'configfile: "{checkout}/config.yaml"',
        'configfile: "small.yaml"',
        "module flatreg:",
        *(f"    {field}" for field in (f'snakefile: "{checkout}/Snakefile"', *fields)),
        "    config: config",
        how,
    ]
    (folder / "Snakefile").write_text("\n".join(lines) + "\n")


# ── As a module ───────────────────────────────────────────────────────────────


def test_a_module_s_rules_may_have_other_names_and_write_below_a_prefix(
    empty: Path, checkout: Path
) -> None:
    again = "use rule collect_tables from flatreg as my_collect_tables with:\n    threads: 1"
    use_as_module(
        empty, checkout, f"use rule * from flatreg as my_*\n{again}", 'prefix: "below/here"'
    )
    table = "below/here/results/tables/metrics.csv"
    done = snakemake(empty, checkout, table)
    assert done.returncode == 0, done.stdout
    with (empty / table).open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["completed"] * 2
    study = json.loads((empty / "below/here/results/config.json").read_text())
    assert study["paths"]["results"] == "below/here/results"
    assert sorted(path.name for path in empty.iterdir() if path.name[0] != ".") == [
        *("Snakefile", "below", "small.yaml")
    ]
    again = snakemake(empty, checkout, "-n", table)
    assert "Nothing to be done" in again.stdout


def test_a_module_is_planned_like_the_workflow(empty: Path, checkout: Path) -> None:
    use_as_module(empty, checkout, "use rule * from flatreg")
    options = ["-n", "--set-resources", "train_model:mem_mb=777"]
    alone = ["-s", f"{checkout}/Snakefile", "--configfile", "small.yaml"]
    plans = [
        snakemake(empty, checkout, *options, *more).stdout.splitlines() for more in ([], alone)
    ]
    said = ("rule ", "localrule ", "    output: ", "    resources: ")
    module, alone = ([line for line in plan if line.startswith(said)] for plan in plans)
    assert len(module) > 60
    assert sorted(module) == sorted(alone)
    assert [line for line in module if "mem_mb=777" in line]


def test_what_a_module_cannot_have_is_one_line(empty: Path, checkout: Path) -> None:
    use_as_module(empty, checkout, "use rule * from flatreg", 'replace_prefix: {"results/": "x/"}')
    done = snakemake(empty, checkout, "-n")
    assert "error: module: replace_prefix is not supported; use prefix" in done.stdout
    assert "Traceback" not in done.stdout


def test_rules_that_were_fetched_alone_are_refused_in_one_line(
    empty: Path, checkout: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / "workflow").mkdir(parents=True)
    for name in ("Snakefile", "workflow/Snakefile"):
        shutil.copy(checkout / name, repository / name)
    git = ["git", "-C", str(repository), "-c", "user.name=A", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    source = f'gitfile("{repository}", path="workflow/Snakefile", tag="v1")'
    (empty / "Snakefile").write_text(
        f"module flatreg:\n    snakefile: {source}\nuse rule * from flatreg\n"
    )
    done = snakemake(empty, checkout, "-n")
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1].startswith("error: flatreg needs more than its rules;")


# ── From elsewhere ────────────────────────────────────────────────────────────


def test_an_archive_of_another_user_runs_from_an_empty_folder(empty: Path, checkout: Path) -> None:
    """The results are in that folder, and the checkout stays as it is."""
    before = seen(checkout.resolve())
    as_anybody: tuple[str, ...] = ()
    if os.geteuid() == 0:
        as_anybody = tuple(AS_ANYBODY)
        subprocess.run(["chown", "-R", "65534", checkout.resolve()], check=True)
    options = ["-s", f"{checkout}/workflow/Snakefile", "--configfile", "small.yaml", "--", DATA]
    plan = snakemake(empty, checkout, "-n", *options)
    assert plan.returncode == 0, plan.stdout
    assert NO_COMMIT not in plan.stdout
    done = snakemake(empty, checkout, *options, before=as_anybody)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(NO_COMMIT) == 1
    assert (empty / DATA).exists()
    assert seen(checkout.resolve()) == before


def test_a_profile_plans_into_another_folder(empty: Path, checkout: Path) -> None:
    profile = f"{checkout}/profiles/demo"
    inside = snakemake(checkout, checkout, "--profile", "profiles/demo", "-n", "-q", "rules")
    options = ["--profile", profile, "-n", "-q", "rules"]
    for folder, more in [
        (checkout, ["--directory", str(empty)]),
        (empty, ["-s", f"{checkout}/Snakefile"]),
    ]:
        done = snakemake(folder, checkout, *options, *more)
        assert done.returncode == 0, done.stdout
        assert jobs(done) == jobs(inside)


def jobs(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The table of jobs that a dry run prints."""
    lines = (line.split() for line in done.stdout.splitlines())
    return [words for words in lines if words and words[-1].isdigit()]
