"""From its archive, the demo's tables, figures, pages and paper are made to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flatreg.disk.files import read_json
from flatreg.publish import archive
from tests.copies import GENERATED, ROOT, WORKFLOW, copy_parts
from tests.faults.demo import RESULTS, Demo, finish, variables

# Seconds for every table, figure and page, beside other tests.
ALL_OF_IT = 1200
pytestmark = [pytest.mark.slow, pytest.mark.timeout(ALL_OF_IT + 300)]


def test_a_clone_makes_the_paper_without_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    study = read_json(RESULTS / "config.json")
    archive.write(study, tmp_path / "archive.tar.xz")
    copy_parts(tmp_path / "clone", WORKFLOW, *GENERATED)
    clone = Demo(tmp_path / "clone")
    command(
        *[clone, "unpack", tmp_path / "archive.tar.xz", "--config", "config.yaml"],
        *["profiles/demo/study.yaml", "--schema", "workflow/schemas/config.schema.json"],
    )
    code, output = finish(clone.start(target=["all"]), patience=ALL_OF_IT)
    assert code == 0, output
    said = command(clone, "confirm", "--config", RESULTS / "config.json")
    assert "are those that were published" in said
    for name, path in archive.made_files(study).items():
        assert (clone.folder / path).read_bytes() == path.read_bytes(), name
    assert not list(clone.folder.rglob("params.npz"))


def command(clone: Demo, name: str, *arguments: object) -> str:
    """Run a command of `flatreg.publish` in a clone; return its output."""
    words = [sys.executable, "-m", f"flatreg.publish.{name}", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(words, cwd=clone.folder, env=variables(clone.folder), **pipes)
    code, output = finish(process)
    assert code == 0, output
    return output
