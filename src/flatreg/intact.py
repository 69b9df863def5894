"""Which generated files are no longer what was written: cut short, edited, or rotten.

Whatever reads a file checks it too; this finds it before anything is planned, so that it is made
anew.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from flatreg.checksums import SUFFIX, check_checksum, read_checksum
from flatreg.errors import UserError
from flatreg.files import check_sha256, read_json, unsealed
from flatreg.finished import SUMMED

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


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, so that it is missing, and not lost; the new name."""
    return path.rename(path.with_name(f"{path.name}{ASIDE}"))


def remade(path: Path, command: list[str] | None) -> bool:
    """Make a damaged file anew by a command, and say whether it is what it was.

    It keeps its times, so that nothing is made of it again.

    Args:
        path: the file.
        command: what makes it and its checksum; None where there is none.
    """
    if command is None:
        return False
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
