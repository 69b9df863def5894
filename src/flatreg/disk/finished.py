"""What a training has written, kept until the whole study is: it is never done twice.

Snakemake forgets the outputs of all jobs of a group if one of them fails, and those of a job whose
end it did not see. What is kept here costs no disk: it is the same files under a second name.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flatreg.disk.files import atomic_path, check_sha256, read_sealed
from flatreg.errors import UserError

SUMMED = ("params.npz", "epochs.csv")
# The record last: where it is, the others are.
FILES = (*SUMMED, "timing.json", "facts.json", "metrics.json")
# Of a training's folder under checkpoints/.
NAME = "finished"


def keep(out: Path, place: Path) -> None:
    """Keep what a run has written.

    Args:
        out: the run's folder.
        place: of this training alone, under checkpoints/.
    """
    partial = place / f"{NAME}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in FILES:
        _link(out / name, partial / name)
    shutil.rmtree(place / NAME, ignore_errors=True)
    partial.rename(place / NAME)


def restore(place: Path, out: Path) -> bool:
    """Write what `keep` has kept, if it is there and whole, and say whether it was."""
    kept = place / NAME
    if not kept.is_dir():
        return False
    try:
        record = read_sealed(kept / "metrics.json")
        for name in SUMMED:
            check_sha256(kept / name, record[f"{name}_sha256"])
    except UserError as error:
        print(f"what was kept of this run is broken, training it anew ({error})", flush=True)
        shutil.rmtree(kept)
        return False
    for name in FILES:
        with atomic_path(out / name) as temporary:
            shutil.copyfile(kept / name, temporary)
    return True


def forget(checkpoints: Path) -> None:
    """Delete what is kept of finished trainings; the checkpoints of others stay."""
    for kept in checkpoints.glob(f"*/{NAME}"):
        shutil.rmtree(kept.parent)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system can't."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
