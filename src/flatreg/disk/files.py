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

# Stands before the suffix of a file that is being written.
PARTIAL = ".partial"
# What a user does about a generated file that has changed.
AGAIN = "delete it and run again"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` that replaces it on success.

    The temporary file is locked while it is written. An unlocked one was left by a killed process
    and is removed when `path` is written again.

    Raises:
        UserError: the folder is not writable.
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
    """Remove the temporary files of `path` that killed processes left."""
    for temporary in path.parent.glob(f".{glob.escape(path.stem)}-*{PARTIAL}{path.suffix}"):
        with suppress(FileNotFoundError), temporary.open("rb") as handle:
            if locks.try_lock(handle.fileno()):
                temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in its own key order; NaN raises a ValueError."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return `value` as indented JSON in its own key order; NaN raises a ValueError."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write a record as JSON with a field `seal`, the checksum of all other fields."""
    write_json(path, sealed(value))


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """A record with a field `seal`, the checksum of all other fields."""
    return value | {"seal": _seal(value)}


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a record that `write_sealed` wrote, without its seal.

    Raises:
        UserError: the file is missing, not JSON, or was changed after it was written.
    """
    return unsealed(read_json(path), path)


def unsealed(value: Any, path: Path) -> dict[str, Any]:
    """Check the seal of a record read from `path`, and return the record without it.

    Raises:
        UserError: the record was changed after it was written.
    """
    seal = value.pop("seal", None) if isinstance(value, dict) else None
    if seal is None or seal != _seal(value):
        raise UserError(f"{path} was changed after it was made (its seal is broken); {AGAIN}")
    return value


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Check a file against the SHA-256 (hex) in a sealed record.

    Raises:
        UserError: the file is missing or was changed.
    """
    if not path.exists() or sha256(path) != expected:
        raise UserError(f"{path} was changed after it was made; {AGAIN}")


def _seal(value: dict[str, Any]) -> str:
    """SHA-256 (hex) of a record's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or not JSON.
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
    """Like `atomic_path`, and write the file's checksum beside it.

    Raises:
        UserError: the folder is not writable.
    """
    # If a write fails, no stale checksum remains that would make the new file look edited.
    checksum_path(path).unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        yield temporary
    write_checksum(path)


def write_checked_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with its checksum beside it."""
    with checked_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_checked_json(path: Path, value: Any) -> None:
    """Write `value` like `write_json`, with its checksum beside it."""
    write_checked_text(path, json_text(value))


def write_checksum(path: Path) -> None:
    """Write a file's checksum beside it, in the format of `sha256sum -c`."""
    write_text(checksum_path(path), f"{sha256(path)}  {path.name}\n")


def check_checksum(path: Path) -> None:
    """Check a file against the checksum beside it, if there is one.

    Raises:
        UserError: the file was changed after it was written.
    """
    expected = read_checksum(path)
    if expected is not None and sha256(path) != expected:
        raise UserError(f"{path} was changed after it was made (its checksum differs); {AGAIN}")


def read_checksum(path: Path) -> str | None:
    """The SHA-256 (hex) stored beside a file, or None if there is none."""
    checksum_file = checksum_path(path)
    if not checksum_file.exists():
        return None
    return checksum_file.read_text(encoding="utf-8", errors="replace").partition(" ")[0].strip()


def checksum_path(path: Path) -> Path:
    """Path of a file's checksum."""
    return path.with_name(path.name + SUFFIX)


def check_place(path: Path) -> None:
    """Check that nothing but a lack of rights hinders a file or folder at `path`.

    Raises:
        UserError: a link on the way leads nowhere, or a file is where a folder must be.
    """
    path = path.absolute()
    for part in (*reversed(path.parents), path):
        if part.is_symlink() and not _exists(part):
            raise UserError(
                f"{part} is a link to {part.readlink()}, which is missing;"
                " make that again, or remove the link"
            )
    nearest = _nearest(path)
    if nearest != path and not nearest.is_dir():
        raise UserError(
            f"cannot create {path}: {nearest} is a file; move it, or change config: paths"
        )


def check_writable(path: Path) -> None:
    """Check that a file or folder can be created at `path`, or changed if it exists.

    Raises:
        UserError: what `check_place` says, or the nearest existing folder is not writable.
    """
    check_place(path)
    nearest = _nearest(path.absolute())
    if not os.access(nearest, os.W_OK):
        raise UserError(
            f"cannot write to {nearest}; change its permissions,"
            " or work elsewhere (--directory, or config: paths)"
        )


def _nearest(path: Path) -> Path:
    """The file or folder itself, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if _exists(folder))


def _exists(path: Path) -> bool:
    """Like `Path.exists`, but False in a folder that may not be searched."""
    return os.path.exists(path)  # noqa: PTH110
