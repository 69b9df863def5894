"""The processor of this machine, as the system reports it."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

VECTOR_INSTRUCTIONS = ("amx", "asimd", "avx", "f16c", "fma", "sse", "sve")


def name() -> str:
    """Its name."""
    return _cpuinfo("model name") or platform.processor()


def features() -> list[str]:
    """Its vector instructions, which determine how compiled sums round; empty if unknown."""
    words = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return sorted(word for word in words if word.startswith(VECTOR_INSTRUCTIONS))


def key() -> str:
    """12 hex digits for its kind: programs of one kind may not run on another."""
    kind = [platform.machine(), name(), *features()]
    return hashlib.sha256(" ".join(kind).encode()).hexdigest()[:12]


def _cpuinfo(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo, empty if there is none."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            title, _, value = line.partition(":")
            if title.strip() == field:
                return value.strip()
    return ""
