"""Where a study may write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flatreg.config.places import OWN, RESULTS_HAVE, check_places
from flatreg.errors import UserError
from tests.config.small import ROOT, load, study

PLACES = {"results": "results", "generated": "paper/generated", "pdf": "paper/main.pdf"}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"results": "results/demo", "generated": "results/demo/paper", "pdf": "results/demo/a.pdf"},
        {"generated": "paper/generated/mine", "pdf": "paper/mine.pdf"},
        {"results": "/tmp/results", "generated": "/tmp/results/paper", "pdf": "/tmp/a.pdf"},
        {"results": "../elsewhere"},
    ],
)
def test_places_beside_the_project_are_taken(changes: dict[str, str]) -> None:
    check_places(PLACES | changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"results": "paper", "generated": "paper"},
            "config: paths.results: 'paper' would write into the project's own files"
            " (paper/main.tex); name a folder apart from them",
        ),
        ({"results": "."}, "'.' would write into the project's own files (Snakefile)"),
        ({"results": ".."}, "'..' would write into the project's own files"),
        ({"results": "src/workflow/results"}, "own files (src)"),
        ({"results": str(ROOT / "workflow/x")}, "own files (workflow)"),
        ({"results": "results/reference"}, "own files (results/reference)"),
        ({"generated": "results/reference/paper"}, "own files (results/reference)"),
        ({"generated": "paper"}, "own files (paper/main.tex)"),
        ({"generated": "docs"}, "own files (docs)"),
        ({"results": "./results"}, "'./results' has parts that change nothing; write 'results'"),
        ({"results": "results/"}, "'results/' has parts that change nothing; write 'results'"),
        ({"results": "a/../b"}, "'a/../b' has parts that change nothing; write 'b'"),
        ({"results": "-x"}, "'-x' would be taken for a flag; begin it with a letter"),
        ({"results": "r/" + "x" * 300}, "a name in it is too long for a disk; shorten it"),
        ({"pdf": "paper/main.tex"}, "'paper/main.tex' does not end in .pdf; add that"),
        ({"generated": "results"}, "paths.results and paths.generated are both 'results'"),
        ({"results": "a.pdf", "pdf": "a.pdf"}, "paths.results and paths.pdf are both 'a.pdf'"),
        ({"generated": "out", "results": "out/all"}, "paths.results: 'out/all' lies in paths.gen"),
        ({"pdf": "a.pdf", "results": "a.pdf/all"}, "paths.results: 'a.pdf/all' lies in paths.pdf"),
        ({"pdf": "a.pdf", "generated": "a.pdf/b"}, "paths.generated: 'a.pdf/b' lies in paths.pdf"),
        ({"generated": "results/tables"}, "'results/tables' is where the results have files of"),
        ({"pdf": "results/figures/cost.pdf"}, "'results/figures/cost.pdf' is where the results"),
    ],
)
def test_other_places_are_refused_in_one_line(changes: dict[str, str], line: str) -> None:
    with pytest.raises(UserError) as caught:
        check_places(PLACES | changes)
    assert line in str(caught.value)
    assert str(caught.value).startswith("config: paths.")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOT / "src")
    with pytest.raises(UserError, match="own files"):
        check_places(PLACES | {"results": str(tmp_path / "link/results")})


@pytest.mark.parametrize("name", ["results", ".snakemake"])
def test_the_projects_own_places_may_be_links(name: str, tmp_path: Path) -> None:
    """They may lead nowhere, which is told later."""
    (tmp_path / name).symlink_to("/scratch/purged")
    check_places(PLACES, tmp_path)
    with pytest.raises(UserError, match="own files"):
        check_places(PLACES | {"results": str(tmp_path / "src")}, tmp_path)


def test_a_completed_config_is_checked() -> None:
    given = study() | {"paths": PLACES | {"results": "bench"}}
    with pytest.raises(UserError, match=r"paths\.results: 'bench' would write into"):
        load(given)


def test_the_projects_own_files_are_all_known() -> None:
    """But for what is generated, by .gitignore."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True).stdout.split()
    known = {Path(path) for path in OWN}
    for path in map(Path, listed):
        assert known & {path, *path.parents}, path


def test_the_folders_of_the_results_are_those_of_the_rules() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for folder in RESULTS_HAVE:
        assert f"{{RESULTS}}/{folder}" in rules or 'f"{RESULTS}/{RUN' in rules, folder
