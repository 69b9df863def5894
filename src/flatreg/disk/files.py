"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flatreg.disk import locks
from flatreg.errors import UserError

# Ends the name, before its suffix, of a file that is being written.
PARTIAL = ".partial"
# What to do about a generated file that is not what was written.
AGAIN = "delete it and run again"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place on success.

    The sibling is locked while it is written: one that is not was left by a writer that was
    killed, and goes when `path` is written again.

    Raises:
        UserError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=f"{PARTIAL}{path.suffix}"
        )
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; make its folder writable"
        ) from error
    temporary = Path(name)
    try:
        locks.try_lock(handle)
        yield temporary
        temporary.chmod(0o644)
        os.fsync(handle)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove what writers of `path` that were killed have left beside it."""
    for temporary in path.parent.glob(f".{glob.escape(path.stem)}-*{PARTIAL}{path.suffix}"):
        with suppress(FileNotFoundError), temporary.open("rb") as handle:
            if locks.try_lock(handle.fileno()):
                temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, keys in their own order, NaN refused."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """`value` as indented JSON, keys in their own order, NaN refused."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write a record as JSON with a checksum of its other fields, its `seal`."""
    write_json(path, value | {"seal": _seal(value)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote, without the seal.

    Raises:
        UserError: it is missing, not JSON, or was changed after it was written.
    """
    return unsealed(read_json(path), path)


def unsealed(value: Any, path: Path) -> dict[str, Any]:
    """What `write_sealed` was given, of the JSON that it wrote to `path`.

    Raises:
        UserError: it was changed after it was written.
    """
    seal = value.pop("seal", None) if isinstance(value, dict) else None
    if seal is None or seal != _seal(value):
        raise UserError(f"{path} was changed after it was made (its seal is broken); {AGAIN}")
    return value


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Check that a file is still what a sealed record says of it.

    Raises:
        UserError: it is missing or was changed.
    """
    if not path.exists() or sha256(path) != expected:
        raise UserError(f"{path} was changed after it was made; {AGAIN}")


def _seal(value: dict[str, Any]) -> str:
    """SHA-256 of a record's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the rule that makes it") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); {AGAIN}") from error


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


def check_writable(path: Path) -> None:
    """Check that a file or folder can be made there.

    Raises:
        UserError: the nearest folder above it that exists cannot be written to.
    """
    path = path.absolute()
    there = next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110
    if not os.access(there, os.W_OK):
        raise UserError(f"cannot write to {there}; change its permissions, or config: paths")
    if there != path and not there.is_dir():
        raise UserError(f"cannot make {path}: {there} is a file; move it, or change config: paths")
