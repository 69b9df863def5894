"""The RO-Crate of a study, read back with the ro-crate library."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

from flatreg import config, machine, tables
from flatreg.disk.files import read_json, write_json
from flatreg.disk.runs import run_dir
from tests.paper.study import MANIFEST, STUDY, write_study

BEGUN = 1_700_000_000.9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, whose last run was made from another commit."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder / "results")
    runs = config.runs(STUDY)
    for number, run in enumerate(runs):
        where = run_dir(folder / "results", *run)
        where.mkdir(parents=True)
        times = {"begun": BEGUN + 60 * number, "ended": BEGUN + 60 * number + 50}
        commit = {"commit": "d" * 40 if run == runs[-1] else "c" * 40, "dirty": False}
        write_json(where / "facts.json", machine.describe() | commit | times)
    for name in (
        "results/figures/accuracy.pdf",
        "results/figures/accuracy.svg",
        "results/explore.html",
        "paper/main.pdf",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def write_crate(folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Write results/ro-crate-metadata.json in a folder."""
    command = ["-m", "flatreg.publish.crate", "--config", "results/config.json"]
    command += ["--citation", root / "CITATION.cff", "--workflow", root / "Snakefile"]
    command += ["--out", "results/ro-crate-metadata.json"]
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def crate(folder: Path, root: Path) -> ROCrate:
    done = write_crate(folder, root)
    assert (done.returncode, done.stderr) == (0, "")
    return ROCrate(folder / "results")


def test_the_root_says_what_it_is(crate: ROCrate) -> None:
    assert crate.name.startswith("flatreg: ")
    assert "24 runs in 2 protocols on 1 data sets" in crate.description
    assert crate.license.id == "https://spdx.org/licenses/MIT"
    # The end of the last run, without fractions of a second.
    assert crate.root_dataset["datePublished"] == "2023-11-14T22:37:10+00:00"


def test_every_file_is_there_with_its_size_and_hash(crate: ROCrate, folder: Path) -> None:
    files = [e for e in crate.data_entities if "File" in e.type]
    names = {file.id for file in files}
    assert {
        "config.json",
        "tables/metrics.csv",
        "figures/accuracy.svg",
        "../paper/main.pdf",
    } < names
    for file in files:
        path = folder / "results" / file.id
        assert not file.id.startswith("/")
        assert file["contentSize"] == str(path.stat().st_size)
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file["encodingFormat"]


def test_every_column_of_a_table_is_described(crate: ROCrate) -> None:
    columns = crate.get("tables/metrics.csv")["variableMeasured"]
    assert {c["name"]: c["description"] for c in columns} == {
        name: column.description for name, column in tables.METRICS_TABLE.columns.items()
    }
    assert len(crate.get("tables/claims.csv")["variableMeasured"]) > 20


def test_data_have_licence_and_hash(crate: ROCrate) -> None:
    data = crate.get("data/digits.json")["about"]
    assert data["name"] == MANIFEST["title"]
    assert data["license"]["name"] == MANIFEST["licence"]
    assert data["identifier"]["value"] == MANIFEST["sha256"]
    assert data["url"] == MANIFEST["url"]


def test_the_workflow_and_what_ran_it(crate: ROCrate, root: Path) -> None:
    workflow = crate.mainEntity
    assert "ComputationalWorkflow" in workflow.type
    assert workflow.id.endswith("Snakefile")
    assert workflow["programmingLanguage"]["name"] == "Snakemake"
    least = workflow["programmingLanguage"]["version"]
    assert f'min_version("{least}")' in (root / "Snakefile").read_text()
    first, second = sorted(crate.get_by_type("CreateAction"), key=lambda action: action.id)
    assert "c" * 40 in first["name"]
    assert "d" * 40 in second["name"]
    assert first["startTime"] == "2023-11-14T22:13:20+00:00"
    used = {e["name"]: e["version"] for e in first["instrument"] if e is not workflow}
    assert used == machine.describe()["packages"] | {"Python": machine.describe()["python"]}
    assert workflow in first["instrument"]


def test_every_entity_that_is_named_is_described(folder: Path, crate: ROCrate) -> None:
    content = read_json(folder / "results/ro-crate-metadata.json")
    known = {entity["@id"] for entity in content["@graph"]}
    assert len(known) == len(content["@graph"])

    def named(value: object) -> list[str]:
        if isinstance(value, list):
            return [name for part in value for name in named(part)]
        return [value["@id"]] if isinstance(value, dict) else []

    for entity in content["@graph"]:
        for key, value in entity.items():
            outside = {name for name in named(value) if not name.startswith("https://")}
            assert outside <= known, (entity["@id"], key)
    assert str(folder) not in json.dumps(content)


def test_the_same_study_gives_the_same_bytes(folder: Path, root: Path, crate: ROCrate) -> None:
    path = folder / "results/ro-crate-metadata.json"
    before = path.read_bytes()
    path.unlink()
    assert write_crate(folder, root).returncode == 0
    assert path.read_bytes() == before


def test_an_unfinished_study_is_one_line(folder: Path, root: Path, crate: ROCrate) -> None:
    (folder / "paper/main.pdf").rename(folder / "elsewhere.pdf")
    done = write_crate(folder, root)
    (folder / "elsewhere.pdf").rename(folder / "paper/main.pdf")
    assert done.returncode == 2
    assert done.stderr == "error: paper/main.pdf is missing; finish the study first\n"
