"""The code that runs: the files that a command imports, their hash, the commit, the libraries."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from flatreg import surroundings

LIBRARY = Path(__file__).parent
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "matfree", "numpy", "scipy")
# Not hashed: what a stage takes from the config is in the params of its rule.
UNTRACED = LIBRARY / "config"


def making() -> dict[str, Any]:
    """What a resumed training depends on besides its settings: the code and its libraries."""
    return {
        "code": _sha256(sorted(LIBRARY.rglob("*.py"))),
        "python": platform.python_version(),
        "packages": versions(),
        "other_libraries": surroundings.libraries(),
    }


def versions() -> dict[str, str]:
    """The versions of the libraries that can change a number."""
    return {name: metadata.version(name) for name in PACKAGES}


def commit() -> tuple[str | None, bool | None]:
    """The commit of the running code, and whether files differ from it; None outside git.

    An archive that is unpacked inside another repository has no commit: that one does not track it.
    """
    head = _git("rev-parse", "HEAD")
    if head is None or _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    return head, _git("status", "--porcelain", "--untracked-files=no") != ""


def commit_of(path: Path) -> str | None:
    """The last commit that changed a file; None outside git, and if the file differs from it."""
    name, folder = path.name, path.resolve().parent
    if _git("status", "--porcelain", "--", name, folder=folder) != "":
        return None
    return _git("log", "-1", "--format=%H", "--", name, folder=folder) or None


# ── The files of a command ────────────────────────────────────────────────────


@cache
def digest(*commands: str) -> str:
    """16 hex digits of a hash over all library files that these commands import.

    Args:
        commands: as typed after `python -m flatreg.`.
    """
    return _sha256(files_of(*commands))[:16]


@cache
def files_of(*commands: str) -> list[Path]:
    """The library files that these commands import, directly or indirectly.

    Imports are read from the source text. The folder `config` is left out.

    Args:
        commands: as typed after `python -m flatreg.`.
    """
    files: set[Path] = set()
    pending = [_file_of_command(name) for name in commands]
    while pending:
        path = pending.pop()
        if path not in files and UNTRACED not in path.parents:
            files.add(path)
            pending += [*imported_by(path), *_packages_above(path)]
    return sorted(files)


@cache
def imported_by(path: Path) -> list[Path]:
    """The library files that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # An imported name may be a module or a function; the last line drops functions.
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = (name.removeprefix("flatreg.") for name in names if name.startswith("flatreg."))
    return [path for path in map(_file_of_module, sorted(inside)) if path.exists()]


@cache
def members(folder: str) -> dict[str, dict[str, Any]]:
    """The modules of a folder of the library by name, each with its literal constants.

    They are read from the source text, so that listing a registry does not import its members.

    Args:
        folder: dotted name of the folder below the library.
    """
    paths = sorted(LIBRARY.joinpath(*folder.split(".")).glob("*.py"))
    return {path.stem: _literals(path) for path in paths if path.stem != "__init__"}


def first_line(module: str) -> str:
    """The first line of a module's docstring, read from its text.

    Args:
        module: its name below the library.
    """
    text = _file_of_module(module).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def _literals(path: Path) -> dict[str, Any]:
    literals = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        try:
            literals[name] = ast.literal_eval(value)
        except ValueError:
            continue
    return literals


def _file_of_command(name: str) -> Path:
    path = LIBRARY.joinpath(*name.split("."))
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def _file_of_module(name: str) -> Path:
    path = LIBRARY.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _packages_above(path: Path) -> list[Path]:
    """The `__init__.py` of every package that contains a file."""
    folders = path.relative_to(LIBRARY).parents
    return [LIBRARY / folder / "__init__.py" for folder in folders]


def _sha256(paths: list[Path]) -> str:
    """SHA-256 (hex) over the relative path and the contents of each file."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(LIBRARY)} ".encode() + path.read_bytes())
    return total.hexdigest()


def _git(*arguments: str, folder: Path | None = None) -> str | None:
    # Git only reads here, so the checkout may be another user's.
    own = ["-c", "safe.directory=*", "--no-optional-locks"]
    command = ["git", *own, "-C", str(folder or LIBRARY), *arguments]
    held = surroundings.held(os.environ)
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=held)
    except FileNotFoundError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None
