"""Outputs of finished trainings, kept until the study ends, so that no training runs twice.

Snakemake deletes the outputs of all jobs of a group if one of them fails, and the outputs of a job
whose end it did not see. Hard links keep the files without using more disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flatreg.disk.files import atomic_path, check_sha256, read_sealed
from flatreg.errors import UserError

SUMMED = ("params.npz", "epochs.csv")
# The record comes last: once it exists, so do the others.
FILES = (*SUMMED, "timing.json", "facts.json", "metrics.json")
# Folder of the kept files inside the training's folder under checkpoints/.
NAME = "finished"


def keep(out: Path, place: Path) -> None:
    """Keep the files of a finished run.

    Args:
        out: the run's folder.
        place: the training's own folder under checkpoints/.
    """
    partial = place / f"{NAME}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in FILES:
        _link(out / name, partial / name)
    shutil.rmtree(place / NAME, ignore_errors=True)
    partial.rename(place / NAME)


def restore(place: Path, out: Path) -> bool:
    """Copy the kept files to `out` if they exist and are intact; return whether they were."""
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
    for name in FILES:
        with atomic_path(out / name) as temporary:
            shutil.copyfile(finished / name, temporary)
    return True


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
