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

from flatreg import locks
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
