"""The project's commands by one name each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from flatreg import machine
from flatreg.__main__ import BY_HAND, FORMER, commands

LIBRARY = Path(machine.__file__).parent


def flatreg(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `flatreg ARGUMENTS` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "flatreg", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_is_listed_with_what_it_does(tmp_path: Path) -> None:
    done = flatreg(tmp_path)
    assert done.returncode == 0
    listed = pd.Series(done.stdout.splitlines()).str.extract(r"^([a-z][\w.]*)  +(\w.*)$").dropna()
    names = set(listed[0])
    called = []
    for path in LIBRARY.rglob("*.py"):
        *folders, stem = path.relative_to(LIBRARY).with_suffix("").parts
        if "command.run(main)\n" in path.read_text() and folders:
            called.append(folders[-1] if stem == "__main__" else stem)
    assert sorted(called) == sorted(names), "each by a name of its own"
    assert "`python -m" not in done.stdout


def test_a_stage_gets_its_arguments_and_gives_its_exit_code(tmp_path: Path) -> None:
    done = flatreg(tmp_path, "summarize", "--help")
    assert done.returncode == 0
    assert "usage: python -m flatreg.tables.summarize" in done.stdout
    assert "95 % interval" in flatreg(tmp_path, "evidence", "--help").stdout
    done = flatreg(tmp_path, "prepare", "--config", "a b.json", *["--dataset", "x"])
    assert done.returncode == 2


def test_an_unknown_stage_is_one_line(tmp_path: Path) -> None:
    done = flatreg(tmp_path, "summarise")
    assert done.returncode == 2
    assert done.stderr == "error: flatreg has no command 'summarise'; did you mean summarize?\n"


def test_what_a_person_types_comes_first(tmp_path: Path) -> None:
    text = flatreg(tmp_path, "--help").stdout
    first, stages = text.split("\nstages that the workflow runs:")
    assert set(BY_HAND) <= set(commands())
    assert all(f"\n{name} " in first and f"\n{name} " not in stages for name in BY_HAND)
    assert "\ntrain " in stages


def test_every_former_name_has_a_command() -> None:
    assert {name.split()[0] for name in FORMER.values()} <= set(commands())


@pytest.mark.parametrize("name", ["evidence.calibration", "paper.appendix"])
def test_a_former_name_still_calls_the_command_and_says_the_new_one(
    tmp_path: Path, name: str
) -> None:
    done = flatreg(tmp_path, name, "--help")
    assert done.returncode == 0
    assert done.stderr == f"flatreg {name} is now flatreg {FORMER[name]}\n"
    assert done.stdout.startswith("usage: python -m flatreg.")
