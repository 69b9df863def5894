"""Data, disks and locks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from flatreg.data.sources import SOURCES
from flatreg.disk import locks
from flatreg.disk.files import check_writable
from flatreg.disk.scratch import SCRATCH, scratch_folder
from flatreg.doctor.finding import Finding, shown
from flatreg.errors import UserError

# What the whole study leaves, and what a job writes into the folder of temporary files (MiB).
STUDY_MB, TEMPORARY_MB = 1500, 200


def findings(results: Path) -> Iterator[Finding]:
    """Where data are, how much room there is, and whether files can be locked.

    Args:
        results: folder of the results, which may not exist yet.
    """
    for name in SOURCES:
        yield _source(name)
    yield _writable("results", results)
    yield _room("free disk", results, STUDY_MB)
    yield _room("temporary files", Path(tempfile.gettempdir()), TEMPORARY_MB)
    yield _locks()
    yield _scratch()


def _source(name: str) -> Finding:
    path = import_module(f"flatreg.data.sources.{name}").cache()
    if path is None:
        return Finding(name, "ships inside scikit-learn")
    if path.exists():
        return Finding(name, f"in {shown(path)}")
    return Finding(name, f"not in {shown(path)}; its first use downloads it")


def _writable(what: str, path: Path) -> Finding:
    try:
        check_writable(path)
    except UserError as error:
        return Finding(what, "cannot be written", str(error))
    return Finding(what, f"go to {shown(path)}")


def _room(what: str, path: Path, needed: int) -> Finding:
    there = next(
        folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists()
    )
    free = shutil.disk_usage(there).free // 2**20
    if free < needed:
        return Finding(what, f"{free} MiB at {shown(there)}", f"free {needed - free} MiB there")
    return Finding(what, f"{free} MiB at {shown(there)}")


def _locks() -> Finding:
    """Whether a second snakemake would be noticed, in the folder where one would start."""
    try:
        with tempfile.TemporaryFile(dir=".") as file, os.fdopen(os.dup(file.fileno())):
            locked = locks.try_lock(file.fileno())
    except OSError:
        return Finding("locks", "not tried: this folder cannot be written")
    if not locked:
        return Finding("locks", "this disk has none: start one snakemake at a time")
    return Finding("locks", "this disk has them")


def _scratch() -> Finding:
    folder = scratch_folder()
    if folder is None:
        return Finding("scratch", f"none; {SCRATCH} can name a node's own disk")
    return _writable("scratch", folder)
