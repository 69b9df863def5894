"""A mistake that can be mended is one clear line and a non-zero exit code, never a traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend: what is wrong, where, and what to do.

    The message is one line, whatever the words in it come from.
    """

    def __init__(self, message: str) -> None:
        """Put the message on one line."""
        super().__init__(" ".join(message.splitlines()))


class StoppedError(Exception):
    """A signal told the process to end, and it has saved what it had; the message says what.

    Attributes:
        exit_code: 128 and the signal's number, as shells have it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        """Say what is saved."""
        super().__init__(message)
        self.exit_code = 128 + signal_number


# What a disk says, and what to do about it.
_DISK = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit of a file's size",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EIO: "look after the disk",
    errno.ESTALE: "look after the network's file system",
}


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; what can be mended becomes one line on stderr and exit 2."""
    try:
        main()
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        line = mendable(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def mendable(error: BaseException) -> str | None:
    """One line of what is wrong, where and what to do, or None for a defect of ours.

    A full disk, one that cannot be written to and memory that is used up are told as they come:
    out of Python, JAX or what writes checkpoints.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED: Out of memory" in str(error):
        return "the memory is used up; give the job more of it (mem_mb), or run fewer at once"
    for number, remedy in _DISK.items():
        if isinstance(error, OSError) and error.errno == number:
            return f"{error.filename or 'the disk'}: {error.strerror}; {remedy} and run again"
    if "No space left on device" in str(error):
        return f"the disk: No space left on device; {_DISK[errno.ENOSPC]} and run again"
    return None
