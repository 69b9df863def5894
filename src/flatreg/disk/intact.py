"""Which generated files are no longer what was written: cut short, edited, or rotten.

Whatever reads a file checks it too; this finds it before anything is planned, so that it is made
anew.
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

# Ends the name of a file that is no longer what was written.
ASIDE = ".damaged"
# Of the results, those whose files have checksums beside them, and those with sealed records.
CHECKED = ("data", "features", "selection/*", "tables", "surfaces", "figures", "notebooks")
SEALED = ("runs/*/*/*/*/metrics.json", "runs/*/*/*/*/curvature.json", "flatness/*/*/*.json")


def damaged(results: Path, *others: Path) -> list[Path]:
    """The files that are not what was written.

    Args:
        results: the study's folder of results.
        others: more folders and files that have checksums beside them.
    """
    folders = (folder for pattern in CHECKED for folder in results.glob(pattern))
    checked = {path for place in (results, *folders, *others) for path in _with_checksum(place)}
    sealed = (path for pattern in SEALED for path in results.glob(pattern))
    found = [path for path in sorted(checked) if _fails(check_checksum, path)]
    damaged_of_runs = (path for record in sorted(sealed) for path in _damaged_of(record))
    return list(dict.fromkeys([*found, *damaged_of_runs]))


def mend(paths: list[Path], commands: Mapping[Path, list[str]]) -> Iterator[str]:
    """Make damaged files anew that a command makes, and set the others aside to be made.

    Args:
        paths: of `damaged`.
        commands: what makes a file and its checksum, for those that must keep their times.

    Yields:
        A line for each file: what became of it.
    """
    for path in paths:
        if path in commands and remade(path, commands[path]):
            yield f"{path} was not what was written: made anew, the same as before"
        else:
            aside = set_aside(path)
            yield f"{path} is not what was written: now {aside}, to be made anew"


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, so that it is missing, and not lost; the new name."""
    return path.rename(path.with_name(f"{path.name}{ASIDE}"))


def remade(path: Path, command: list[str]) -> bool:
    """Make a damaged file anew by a command, and say whether it is what it was.

    It keeps its times, so that nothing is made of it again.

    Args:
        path: the file.
        command: what makes it and its checksum.
    """
    expected, times = read_checksum(path), path.stat()
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or read_checksum(path) != expected:
        return False
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return True


def _with_checksum(place: Path) -> Iterator[Path]:
    """The files of a folder that have a checksum beside them; a file itself, if it has one."""
    kept = place.glob(f"*{SUFFIX}") if place.is_dir() else [place.with_name(place.name + SUFFIX)]
    named = (path.with_name(path.name.removesuffix(SUFFIX)) for path in kept if path.exists())
    return (path for path in named if path.exists())


def _damaged_of(record: Path) -> Iterator[Path]:
    """A record that is damaged, or those files of its run that are and the record with them.

    One without a seal is of a time before there were any.

    Parameters are as large as they are many: they are read only where newer than their record,
    which is written after them.
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


# File systems round times, and a network's may be a little ahead of ours (s).
TOLERANCE = 2.0


def mend_clock(watched: Iterable[Path], folders: Iterable[Path]) -> str | None:
    """Date files of the future now, where a clock was set back; what is made next must be newer.

    Args:
        watched: folders in which, not below, such a file gives the clock away.
        folders: in which, and below, all such files are dated.

    Returns:
        A line that says how many, or None where there was nothing to do.
    """
    if not was_set_back(watched):
        return None
    return f"the clock was set back: {date_now(folders)} files of the future are dated now"


def was_set_back(folders: Iterable[Path]) -> bool:
    """Whether something in one of these folders, not below, is dated in the future."""
    return any(_is_of_the_future(path) for folder in folders for path in folder.glob("*"))


def date_now(folders: Iterable[Path]) -> int:
    """Date what is of the future now, in these folders and below; say how much that was."""
    found = [path for folder in folders for path in folder.rglob("*") if _is_of_the_future(path)]
    for path in found:
        os.utime(path)
    return len(found)


def _is_of_the_future(path: Path) -> bool:
    try:
        return path.lstat().st_mtime > time.time() + TOLERANCE
    except FileNotFoundError:
        return False
