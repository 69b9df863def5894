"""What a command is made of, by the imports in the text of its files."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatreg import code


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the library, to change something in."""
    folder = tmp_path / "flatreg"
    shutil.copytree(code.LIBRARY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "LIBRARY", folder)
    monkeypatch.setattr(code, "UNTRACED", folder / "config")
    forget()
    yield folder
    forget()


def forget() -> None:
    """What is known of files is kept for as long as a process runs."""
    for function in (code.digest, code.files_of, code.imported_by, code.members):
        function.cache_clear()


def commands() -> list[str]:
    """Every module that is a command, as typed after `python -m flatreg.`."""
    found = []
    for path in code.LIBRARY.rglob("*.py"):
        parts = path.relative_to(code.LIBRARY).with_suffix("").parts
        if "command.run(main)" in path.read_text("utf-8") and len(parts) > 1:
            found.append(".".join(parts).removesuffix(".__main__"))
    return found


def loaded_by(module: str) -> set[str]:
    """The library's modules that a module loads."""
    script = f"import sys, {module}; print(*(m for m in sys.modules if 'flatreg' in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data.featurize", "tables.summarize", "paper.compile"])
def test_all_that_a_command_loads_is_among_its_files(name: str) -> None:
    """Python's own list of modules is the truth; what the config alone loads is left out."""
    loaded = loaded_by(f"flatreg.{name}") - loaded_by("flatreg.config")
    traced = {
        ".".join(path.relative_to(code.LIBRARY.parent).with_suffix("").parts)
        for path in code.files_of(name)
    }
    assert f"flatreg.{name}" in loaded
    assert loaded <= {module.removesuffix(".__init__") for module in traced}


def test_every_command_has_files_and_none_of_the_config() -> None:
    assert len(commands()) > 25
    for name in set(commands()) - {"config"}:
        files = code.files_of(name)
        assert code.LIBRARY / "__init__.py" in files, name
        assert not [path for path in files if code.LIBRARY / "config" in path.parents], name


def test_an_edit_changes_the_digests_of_what_imports_the_file(library: Path) -> None:
    before = {name: code.digest(name) for name in ("train", "measure", "paper.compile")}
    path = library / "train/steps.py"
    path.write_text(path.read_text("utf-8") + "\nEDITED = True\n", "utf-8")
    forget()
    changed = {name for name, digest in before.items() if code.digest(name) != digest}
    assert changed == {"train"}


@pytest.mark.parametrize("file", ["config/study.py", "config/check.py", "explore/page.js"])
def test_the_configs_code_and_other_files_are_in_no_digest(library: Path, file: str) -> None:
    before = code.digest("train", "tables.collect", "explore.page")
    path = library / file
    path.write_text(path.read_text("utf-8") + "\n\n", "utf-8")
    forget()
    assert code.digest("train", "tables.collect", "explore.page") == before


def test_a_package_counts_with_what_lies_in_it(library: Path) -> None:
    before = code.digest("data.featurize")
    path = library / "data/__init__.py"
    path.write_text(path.read_text("utf-8") + "\nEDITED = True\n", "utf-8")
    forget()
    assert code.digest("data.featurize") != before


def test_members_are_read_without_being_imported(library: Path) -> None:
    (library / "data/sources/broken.py").write_text(
        '"""A source.\n\nMore."""\n\nimport nothing_that_is_there\n\nREADINGS = ("whole",)\n'
        "STANDARD_SPLIT: bool = False\nCOMPUTED = len(READINGS)\n"
    )
    members = code.members("data.sources")
    assert list(members) == sorted(members)
    assert members["broken"] == {"READINGS": ("whole",), "STANDARD_SPLIT": False}
    assert code.first_line("data.sources.broken") == "A source."


@pytest.mark.parametrize("folder", ["data.sources", "models"])
def test_each_member_says_what_its_registry_asks_of_it(folder: str) -> None:
    asked = {
        "data.sources": {"READINGS": tuple, "STANDARD_SPLIT": bool},
        "models": {"FIELDS": dict},
    }
    for name, constants in code.members(folder).items():
        for constant, kind in asked[folder].items():
            assert isinstance(constants.get(constant), kind), (name, constant)


def test_no_import_is_hidden_from_the_text() -> None:
    """Relative imports and `import flatreg.x as y` in functions would be; there are none."""
    for path in code.LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


# ── The commit ────────────────────────────────────────────────────────────────


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def outer(library: Path, tmp_path: Path) -> Path:
    """A repository with one commit, that holds a copy of the library."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    return tmp_path


def test_an_archive_inside_another_repository_has_no_commit(outer: Path) -> None:
    assert code.commit() == (None, None)
    git(outer, "add", "flatreg")
    git(outer, "commit", "-q", "-m", "tracked")
    assert code.commit() == (git(outer, "rev-parse", "HEAD"), False)
    (outer / "flatreg/code.py").write_text("EDITED = True")
    assert code.commit() == (git(outer, "rev-parse", "HEAD"), True)


def test_git_s_variables_name_no_other_repository(
    outer: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(outer, "add", "flatreg")
    git(outer, "commit", "-q", "-m", "tracked")
    head, other = git(outer, "rev-parse", "HEAD"), tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert code.commit() == (head, False)


def test_the_checkout_may_be_another_users(outer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(outer, "add", "flatreg")
    git(outer, "commit", "-q", "-m", "tracked")
    head = git(outer, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert code.commit() == (head, False)
