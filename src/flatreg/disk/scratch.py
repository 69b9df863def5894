"""A node's local disk, for files that its jobs read often.

On a cluster the results lie on a disk that all nodes share. FLATREG_SCRATCH names a folder on the
node's own disk, which holds one copy of the prepared data and the compiled programs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from flatreg.disk.files import atomic_path, read_checksum, sha256
from flatreg.machine import scratch_folder


def near(path: Path) -> Path:
    """This node's copy of a file, made if it is missing or damaged.

    Without a scratch folder, or a checksum to verify a copy with, returns the file itself.
    """
    home, expected = scratch_folder(), read_checksum(path)
    if home is None or expected is None:
        return path
    copy = home / "data" / f"{expected}{path.suffix}"
    if not copy.exists() or sha256(copy) != expected:
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
    return copy
