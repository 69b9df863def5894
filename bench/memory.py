"""How much memory a process takes, as Linux counts it."""

from __future__ import annotations

import re
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def start() -> int | None:
    """Forget the peak so far, and tell the resident bytes; None where it cannot be told."""
    if not _CLEAR.exists():
        return None
    # Without this the peak would be that of compiling, or of the process that started this one.
    _CLEAR.write_text("5")
    return _bytes("VmRSS")


def above(begun: int | None) -> int | None:
    """Bytes at the peak since `start`, above those that it told."""
    return None if begun is None else max(0, _bytes("VmHWM") - begun)


def _bytes(field: str) -> int:
    (kilobytes,) = re.findall(rf"{field}:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"))
    return int(kilobytes) * 1024
