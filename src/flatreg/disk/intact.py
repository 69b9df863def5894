"""Find generated files that changed after they were written: truncated, edited or corrupted.

Every reader checks its files too. This check runs before planning, so that damaged files are made
again.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from flatreg.disk.files import (
    SUFFIX,
    check_checksum,
    check_sha256,
    read_checksum,
    read_json,
    unsealed,
)
from flatreg.disk.finished import SUMMED
from flatreg.errors import UserError

# Suffix of a damaged file that was set aside.
ASIDE = ".damaged"
# Folders of the results whose files have checksums beside them, and the sealed records.
CHECKED = (
    *("data", "features", "selection/*/*", "tables"),
    *("surfaces", "examples", "sample_sizes", "figures", "notebooks"),
)
SEALED = tuple(f"runs/*/*/*/*/{name}.json" for name in ("metrics", "curvature", "flatness"))


def damaged(results: Path, *others: Path) -> list[Path]:
    """The files that changed after they were written.

    Args:
        results: the study's results folder.
        others: further files with checksums beside them, or folders of such files.
    """
    folders = (folder for pattern in CHECKED for folder in results.glob(pattern))
    checked = {path for place in (results, *folders, *others) for path in _with_checksum(place)}
    sealed = (path for pattern in SEALED for path in results.glob(pattern))
    damaged_checked = [path for path in sorted(checked) if _fails(check_checksum, path)]
    damaged_of_runs = (path for record in sorted(sealed) for path in _damaged_of(record))
    return list(dict.fromkeys([*damaged_checked, *damaged_of_runs]))


def mend(paths: list[Path], commands: Mapping[Path, list[str]]) -> Iterator[str]:
    """Remake each damaged file that has a command; set the others aside for the workflow to remake.

    Args:
        paths: of `damaged`.
        commands: for each file that must keep its times, the command that writes it and its
            checksum.

    Yields:
        One line per file, which says what was done with it.
    """
    for path in paths:
        if path in commands and remade(path, commands[path]):
            yield f"{path} was damaged: made again, with the same contents"
        else:
            aside = set_aside(path)
            yield f"{path} is damaged: moved to {aside}, to be made again"


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that it is missing but not lost; return the new path."""
    return path.rename(path.with_name(f"{path.name}{ASIDE}"))


def remade(path: Path, command: list[str]) -> bool:
    """Make a damaged file again; return whether it has its former checksum.

    The file keeps its times, so that Snakemake does not rebuild what depends on it.

    Args:
        path: the file.
        command: writes the file and its checksum.
    """
    expected, times = read_checksum(path), path.stat()
    process = subprocess.run(command, capture_output=True, check=False)
    if process.returncode or read_checksum(path) != expected or _fails(check_checksum, path):
        return False
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return True


def _with_checksum(place: Path) -> Iterator[Path]:
    """The files of a folder that have a checksum beside them; for a file, itself if it has one."""
    sums = place.glob(f"*{SUFFIX}") if place.is_dir() else [place.with_name(place.name + SUFFIX)]
    files = (path.with_name(path.name.removesuffix(SUFFIX)) for path in sums if path.exists())
    return (path for path in files if path.exists())


def _damaged_of(record: Path) -> Iterator[Path]:
    """A damaged record, or the damaged files of its run together with the record.

    A record without a seal is not checked. Parameter files are large, so they are read only if they
    are newer than their record, which is written after them.
    """
    try:
        value = read_json(record)
        if not isinstance(value, dict) or "seal" not in value:
            return
        sums = unsealed(value, record)
    except UserError:
        yield record
        return
    if record.name == "metrics.json":
        written = record.stat().st_mtime_ns
        for name in SUMMED:
            path = record.with_name(name)
            changed = path.exists() and path.stat().st_mtime_ns > written
            if changed and _fails(check_sha256, path, sums[f"{name}_sha256"]):
                yield from (path, record)


def _fails(check: Callable[..., object], *arguments: object) -> bool:
    try:
        check(*arguments)
    except UserError:
        return True
    return False


# File systems round times, and a file server's clock may be slightly ahead (s).
TOLERANCE = 2.0


def mend_clock(watched: Iterable[Path], folders: Iterable[Path]) -> str | None:
    """After the clock was set back, give files dated in the future the current time.

    New files would otherwise seem older than their inputs.

    Args:
        watched: folders whose direct entries show whether the clock was set back.
        folders: folders in which all files dated in the future are changed, at any depth.

    Returns:
        One line with the number of files, or None if there are none.
    """
    if not was_set_back(watched):
        return None
    count = date_now(folders)
    if not count:
        return None
    return f"the clock was set back: gave {count} files dated in the future the current time"


def was_set_back(folders: Iterable[Path]) -> bool:
    """Whether a direct entry of one of these folders is dated in the future."""
    return any(_is_of_the_future(path) for folder in folders for path in folder.glob("*"))


def date_now(folders: Iterable[Path]) -> int:
    """Give files and folders below these that are dated in the future the current time.

    Files that may not be changed are left: a checkout may be another user's.

    Returns:
        How many were changed.
    """
    paths = [path for folder in folders for path in folder.rglob("*") if _is_of_the_future(path)]
    return sum(_touch(path) for path in paths)


def _touch(path: Path) -> bool:
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def _is_of_the_future(path: Path) -> bool:
    try:
        return path.lstat().st_mtime > time.time() + TOLERANCE
    except FileNotFoundError:
        return False
