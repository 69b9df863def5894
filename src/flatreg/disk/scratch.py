"""A node's local disk, for files that its jobs read often.

On a cluster the results lie on a disk that all nodes share. FLATREG_SCRATCH names a folder on the
node's own disk, which holds one copy of the prepared data and the compiled programs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flatreg.disk.files import atomic_path, read_checksum, sha256

# Environment variable with a folder on the node's own disk.
SCRATCH = "FLATREG_SCRATCH"


def scratch_folder() -> Path | None:
    """The folder on this node's own disk that FLATREG_SCRATCH names, None if it is not set.

    The value may contain variables of the node, as in `$TMPDIR/flatreg`.
    """
    value = os.environ.get(SCRATCH)
    return Path(os.path.expandvars(value)) if value else None


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
