"""Files that are dated in the future, as they are after a clock was set back.

Snakemake refuses an output that is older than its input, and what is written now is older than
anything of the future.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

# File systems round times, and a network's may be a little ahead of ours (s).
TOLERANCE = 2.0


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
