"""Python, its packages, and what the user's account brings: variables, libraries, files."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.markers import Marker

from flatreg import code, surroundings
from flatreg.doctor.finding import Finding, shown

ROOT = code.LIBRARY.parents[1]
LOCK = ROOT / "envs/requirements.txt"
# NAME==VERSION, perhaps with a condition, such as `; python_version < '3.12'`.
LOCKED = re.compile(r"^([\w.-]+)==([^\s;]+)(?: *; *([^\\]+?))? *\\?$", re.MULTILINE)
# Settings of a user that are known to be without influence.
SETTINGS = (
    *("~/.config/matplotlib/matplotlibrc", "~/.latexmkrc", "~/texmf", "~/.ipython/profile_default"),
    *("~/.jupyter", "~/.local/share/jupyter", "matplotlibrc", ".latexmkrc"),
)


def findings() -> Iterator[Finding]:
    """What runs, and what around it is held, recorded or in the way."""
    yield Finding("Python", f"{platform.python_version()}, {shown(Path(sys.executable))}")
    yield _commit()
    yield _packages()
    yield _variables()
    yield _libraries()
    yield from _start_up()
    yield _settings()


def _commit() -> Finding:
    commit, dirty = code.commit()
    if commit is None:
        return Finding("flatreg", "no commit: not in a repository of its own; results name none")
    changed = ", with changes: results say so" if dirty else ""
    return Finding("flatreg", f"commit {commit[:10]}{changed}")


def _packages() -> Finding:
    if not LOCK.exists():
        return Finding("packages", "no lock file here: the library alone is installed")
    other = [_differing(*found) for found in LOCKED.findall(LOCK.read_text(encoding="utf-8"))]
    names = [name for name in other if name]
    if not names:
        return Finding("packages", "as locked in envs/requirements.txt")
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Finding("packages", f"not as locked: {listed}", "make")


def _differing(name: str, version: str, condition: str) -> str | None:
    """A package that is not here as it is locked; None if it is, or is not for this Python."""
    if condition and not Marker(condition).evaluate():
        return None
    try:
        here = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return None if here == version else f"{name} is {here}, not {version}"


def _variables() -> Finding:
    names = surroundings.left_out_before()
    return Finding("left out", ", ".join(names) or "no variable that could change results")


def _libraries() -> Finding:
    names = surroundings.libraries()
    if not names:
        return Finding("libraries", "none by LD_PRELOAD or LD_LIBRARY_PATH")
    return Finding("libraries", f"{', '.join(names)}; recorded in the facts of each run")


def _start_up() -> Iterator[Finding]:
    """Python's start-up files, which run before all else."""
    for name in ("sitecustomize", "usercustomize"):
        if (spec := find_spec(name)) and spec.origin:
            yield Finding("start-up file", f"{shown(Path(spec.origin))} runs before each command")


def _settings() -> Finding:
    there = [name for name in SETTINGS if Path(name).expanduser().exists()]
    return Finding("settings", f"{', '.join(there) or 'none'}, without influence")
