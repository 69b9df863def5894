"""Errors that a user can fix end in one clear line and a non-zero exit code, not a traceback."""

from __future__ import annotations

import difflib
import errno
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


class UserError(Exception):
    """An error that the user can fix; the message says what is wrong, where, and what to do.

    The message is always one line, even if quoted text in it has several.
    """

    def __init__(self, message: str) -> None:
        """Put the message on one line."""
        super().__init__(" ".join(message.splitlines()))


class StoppedError(Exception):
    """A signal ended the process after it saved its progress; the message says what was saved.

    Attributes:
        exit_code: 128 plus the signal's number, as in shells.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        """Take the message and derive the exit code from the signal."""
        super().__init__(message)
        self.exit_code = 128 + signal_number


# What to do about each error of a disk.
_DISK = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EIO: "check the disk",
    errno.ESTALE: "check the network file system",
}


def mendable(error: BaseException) -> str | None:
    """One line that says what is wrong, where and what to do; None for a bug in flatreg.

    A full or read-only disk and exhausted memory are recognized whether Python, JAX or the
    checkpoint writer reports them, and a GPU that failed by the name of its driver.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED: Out of memory" in str(error):
        return "out of memory; give the job more (mem_mb), or run fewer jobs at once"
    if type(error).__name__ == "JaxRuntimeError" and "CUDA" in str(error):
        first = str(error).splitlines()[0]
        return f"the GPU failed ({first}); check it and run again, checkpoints are kept"
    for number, remedy in _DISK.items():
        if isinstance(error, OSError) and error.errno == number:
            return f"{error.filename or 'the disk'}: {error.strerror}; {remedy} and run again"
    if "No space left on device" in str(error):
        return f"the disk: No space left on device; {_DISK[errno.ENOSPC]} and run again"
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest known name, or all of them."""
    known = [str(choice) for choice in known]
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


# The signals of a scheduler, which sends SIGTERM before it kills, and of Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def note_signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """Record the first SIGTERM or SIGINT instead of ending; a second one ends the process.

    Yields:
        A function that returns the signal received, or None.
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
