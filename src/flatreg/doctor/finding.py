"""One thing that was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: was looked at, in a word or two.
        found: what was found.
        remedy: what to do about it; None if it is in nobody's way.
    """

    what: str
    found: str
    remedy: str | None = None


def shown(path: Path) -> str:
    """A path for a report that others read: the user's home is ~."""
    home, full = Path("~").expanduser(), path.absolute()
    return f"~/{full.relative_to(home)}" if full.is_relative_to(home) else str(full)
