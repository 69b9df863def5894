"""A mistake that can be mended is one clear line and a non-zero exit code, never a traceback."""

from __future__ import annotations

import difflib
import errno
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


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


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest known one, or all of them."""
    known = [str(choice) for choice in known]
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


# What a scheduler sends before it kills, and Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def note_signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """Note the first SIGTERM or SIGINT instead of ending by it; a second one ends at once.

    Yields:
        A function that gives the signal, or None while there was none.
    """
    received: list[signal.Signals] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        restore()

    for number in SIGNALS:
        signal.signal(number, receive)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()
