"""Being told to end: what is at hand is finished and saved before the process goes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# What a scheduler sends before it kills, and Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def noted() -> Iterator[Callable[[], signal.Signals | None]]:
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
