"""A file's checksum beside it, as `sha256sum` writes and reads it: whatever changes it shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flatreg.errors import UserError
from flatreg.files import AGAIN, atomic_path, json_text, sha256, write_text

SUFFIX = ".sha256"


@contextmanager
def checked_path(path: Path) -> Iterator[Path]:
    """As `atomic_path`, and the checksum of what was written is put beside it.

    Raises:
        UserError: the folder cannot be written to.
    """
    # Of an older file: were this one's to stay unwritten, the file would seem changed by hand.
    checksum_path(path).unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        yield temporary
    write_checksum(path)


def write_checked_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, its checksum beside it."""
    with checked_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_checked_json(path: Path, value: Any) -> None:
    """Write `value` as `write_json` does, its checksum beside it."""
    write_checked_text(path, json_text(value))


def write_checksum(path: Path) -> None:
    """Write a file's checksum beside it; `sha256sum -c` reads it too."""
    write_text(checksum_path(path), f"{sha256(path)}  {path.name}\n")


def check_checksum(path: Path) -> None:
    """Check a file against the checksum beside it, where there is one.

    Raises:
        UserError: the file was changed after it was made.
    """
    expected = read_checksum(path)
    if expected is not None and sha256(path) != expected:
        raise UserError(f"{path} was changed after it was made (its checksum differs); {AGAIN}")


def read_checksum(path: Path) -> str | None:
    """The SHA-256 (hex) that is kept beside a file, None where none is."""
    kept = checksum_path(path)
    if not kept.exists():
        return None
    return kept.read_text(encoding="utf-8", errors="replace").partition(" ")[0].strip()


def checksum_path(path: Path) -> Path:
    """Where a file's checksum is kept."""
    return path.with_name(path.name + SUFFIX)
