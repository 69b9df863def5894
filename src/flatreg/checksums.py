"""A file's checksum beside it, as `sha256sum` writes and reads it: an edit by hand shows."""

from __future__ import annotations

from pathlib import Path

from flatreg.errors import UserError
from flatreg.files import sha256, write_text


def write_checksum(path: Path) -> None:
    """Write a file's checksum beside it; `sha256sum -c` reads it too."""
    write_text(checksum_path(path), f"{sha256(path)}  {path.name}\n")


def check_checksum(path: Path) -> None:
    """Check a file against the checksum beside it, where there is one.

    Raises:
        UserError: the file was changed after it was made.
    """
    kept = checksum_path(path)
    if kept.exists() and kept.read_text(encoding="utf-8").split(maxsplit=1)[:1] != [sha256(path)]:
        raise UserError(
            f"{path} was changed after it was made (its checksum differs); delete it and run again"
        )


def checksum_path(path: Path) -> Path:
    """Where a file's checksum is kept."""
    return path.with_name(f"{path.name}.sha256")
