"""Locks that end with the process that holds them, however it ends, so none is ever stale.

They are advisory `flock` locks. They hold across nodes if the file system supports that, as NFS
does. On a file system without locks, nothing is locked and nobody waits.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from flatreg.errors import UserError


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file until it is closed; return whether that succeeded."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def claim(path: Path) -> IO[str]:
    """Lock a lock file until the returned file is closed or the process ends.

    Raises:
        UserError: another process holds it.
    """
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with file:
            holder = _holder(file)
        raise UserError(
            f"{path.parent} is in use by another snakemake, {holder}; wait for it, or stop it"
        ) from error
    except OSError:
        pass
    _sign(file)
    return file


def is_held(path: Path) -> bool:
    """Whether a process has claimed a lock file; this needs no right to write it."""
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def share(path: Path) -> IO[str]:
    """Take a shared lock on a lock file until the returned file is closed."""
    file = _open(path)
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    return file


def wait_for_sharers(path: Path, waiting_for: str) -> bool:
    """Wait until nobody shares a lock file; if somebody does, print `waiting_for` first.

    Returns:
        Whether somebody did.
    """
    with _open(path) as file:
        if try_lock(file.fileno()):
            return False
        print(f"waiting for {waiting_for}", flush=True)
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        return True


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Lock a lock file; if another process holds it, say so and wait."""
    with _open(path) as file:
        if not try_lock(file.fileno()):
            print(f"waiting for {_holder(file)}, which does the same work", flush=True)
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        _sign(file)
        yield


def holder(path: Path) -> str:
    """The process that holds a lock file, or held it last."""
    with _open(path) as file:
        return _holder(file)


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make it writable") from error


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "an unknown process"


def _sign(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.time():.0f}\n")
    file.flush()
