"""The report on a machine, and its exit code, with something in the way and without."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatreg.doctor import environment, storage, tools
from flatreg.doctor.finding import Finding, shown

LIBRARY = Path(environment.__file__).parents[2]


def report(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `flatreg doctor` says in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "flatreg", "doctor", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(LIBRARY)} | variables,
        capture_output=True,
        text=True,
    )


def found(findings: Iterator[Finding], what: str) -> Finding:
    """The one finding with this name."""
    (finding,) = (finding for finding in findings if finding.what == what)
    return finding


@pytest.mark.slow
def test_a_report_names_what_an_issue_needs(tmp_path: Path) -> None:
    done = report(tmp_path, JAX_ENABLE_X64="1", HOME=str(tmp_path), PYTHONWARNINGS="ignore")
    lines = dict(
        line.strip().split(maxsplit=1) for line in done.stdout.splitlines() if "  " in line
    )
    assert lines["system"] == platform.platform()
    assert lines["Python"].startswith(platform.python_version())
    assert lines["left"] == "out        JAX_ENABLE_X64, PYTHONWARNINGS"
    assert lines["results"] == "go to ~/results"
    assert str(tmp_path) not in done.stdout, "an issue tells nobody's name"
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir()), "looking changes nothing"


@pytest.mark.slow
def test_what_is_in_the_way_comes_last_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    done = report(tmp_path, "--results", "results/demo")
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("in the way: results, cannot be written; ")
    assert last.endswith("is a file; move it, or change config: paths")


def test_packages_are_held_against_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.txt"
    monkeypatch.setattr(environment, "LOCK", lock)
    other = "numpy==0.1 \\\n    --hash=sha256:0\nno-such-thing==1.0 \\\n    --hash=sha256:0\n"
    lock.write_text(f"{other}colorama==9 ; sys_platform == 'win32' \\\n    --hash=sha256:0\n")
    finding = found(environment.findings(), "packages")
    assert "numpy is " in finding.found
    assert finding.found.endswith(", not 0.1, no-such-thing is missing")
    assert finding.remedy == "make"
    lock.write_text("colorama==9 ; sys_platform == 'win32' \\\n    --hash=sha256:0\n")
    assert found(environment.findings(), "packages").remedy is None


def test_a_missing_program_and_a_missing_package_of_latex(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = tmp_path / "main.tex"
    paper.write_text("\\usepackage[x]{graphicx}\n\\usepackage{nosuchpackage, hyperref}\n")
    monkeypatch.setattr(tools, "PAPER", paper)
    if shutil.which("kpsewhich"):
        assert tools.missing_packages() == ["nosuchpackage.sty"]
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = list(tools.findings())
    assert {finding.what for finding in findings if finding.remedy} >= {"git", "LaTeX"}


def test_a_full_disk_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path).free // 2**20
    monkeypatch.setattr(storage, "STUDY_MB", 2 * free)
    finding = found(storage.findings(tmp_path / "results"), "free disk")
    assert finding.remedy
    assert finding.remedy.endswith(" MiB there")
    assert found(storage.findings(tmp_path), "digits") == (
        "digits",
        "ships inside scikit-learn",
        None,
    )


def test_home_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/a")
    assert shown(Path("/home/a/b")) == "~/b"
    assert shown(Path("/home/ab")) == "/home/ab"
