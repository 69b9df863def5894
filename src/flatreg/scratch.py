"""A node's own disk, for what its jobs read again and again.

On a cluster the results are on a disk that all nodes share; the variable names a folder of the
node's own, in which prepared data are copied once and compiled programs kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flatreg.checksums import read_checksum
from flatreg.files import atomic_path, sha256

VARIABLE = "FLATREG_SCRATCH"


def folder() -> Path | None:
    """The folder that the variable names, None where it is not set.

    It may hold other variables, which are read on the node: `$TMPDIR/flatreg`.
    """
    named = os.environ.get(VARIABLE)
    return Path(os.path.expandvars(named)) if named else None


def near(path: Path) -> Path:
    """This node's copy of a file that has a checksum, made where there is none that is whole.

    Where there is no scratch, or no checksum to know a copy by, it is the file itself.
    """
    home, expected = folder(), read_checksum(path)
    if home is None or expected is None:
        return path
    copy = home / "data" / f"{expected}{path.suffix}"
    if not copy.exists() or sha256(copy) != expected:
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
    return copy
