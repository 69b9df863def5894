"""A node's own disk, for what its jobs read again and again.

On a cluster the results are on a disk that all nodes share; the variable names a folder of the
node's own, in which prepared data are copied once and compiled programs kept.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from flatreg.disk.files import atomic_path, read_checksum, sha256
from flatreg.machine import scratch_folder


def near(path: Path) -> Path:
    """This node's copy of a file that has a checksum, made where there is none that is whole.

    Where there is no scratch, or no checksum to know a copy by, it is the file itself.
    """
    home, expected = scratch_folder(), read_checksum(path)
    if home is None or expected is None:
        return path
    copy = home / "data" / f"{expected}{path.suffix}"
    if not copy.exists() or sha256(copy) != expected:
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
    return copy
