"""The files of finished trainings, kept until the study ends, so that no training runs twice.

A job of many runs writes each run's files here, and puts all of them in their places when the last
one is finished. Snakemake deletes the outputs of a job that fails, and of one whose end it did not
see; these it does not know. Hard links keep the files without using more disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from flatreg.disk.files import atomic_path, check_sha256, read_sealed
from flatreg.errors import UserError

# The parameters that the run kept, and those of its last epoch.
KEPT, LAST = "params.npz", "last.npz"
SUMMED = (KEPT, LAST, "epochs.csv")
# The record comes last: once it exists, so do the others.
FILES = (*SUMMED, "timing.json", "facts.json", "metrics.json")
# Folder of the kept files inside the training's folder under checkpoints/.
NAME = "finished"


def keep(place: Path, write: Callable[[Path], None]) -> None:
    """Keep the files of a finished run.

    Args:
        place: the training's own folder under checkpoints/.
        write: writes `FILES` into the folder that it is given.
    """
    partial = place / f"{NAME}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(place / NAME, ignore_errors=True)
    partial.rename(place / NAME)


def has(place: Path) -> bool:
    """Whether the kept files of a training exist and are intact; broken ones are deleted."""
    finished = place / NAME
    if not finished.is_dir():
        return False
    try:
        record = read_sealed(finished / "metrics.json")
        for name in SUMMED:
            check_sha256(finished / name, record[f"{name}_sha256"])
    except UserError as error:
        print(f"the kept files of this run are broken, training it again ({error})", flush=True)
        shutil.rmtree(finished)
        return False
    return True


def place_in(place: Path, out: Path) -> None:
    """Put the kept files of a training into a run's folder, with the present time."""
    for name in FILES:
        with atomic_path(out / name) as temporary:
            temporary.unlink()
            _link(place / NAME / name, temporary)
            os.utime(temporary)


def forget(checkpoints: Path) -> None:
    """Delete the kept files of finished trainings; checkpoints of unfinished ones stay."""
    for finished in checkpoints.glob(f"*/{NAME}"):
        shutil.rmtree(finished.parent)


def _link(file: Path, link: Path) -> None:
    """Hard-link a file, or copy it if the file system has no hard links."""
    try:
        os.link(file, link)
    except OSError:
        shutil.copyfile(file, link)
