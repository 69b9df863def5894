"""Where data sets come from: one module per source, with the name of the source.

A new source is a new module in this folder with `read(settings) -> Prepared`, with
`cache() -> Path | None`, the place of its cache if it has one, and two constants:

    READINGS        readings of a text ("whole", "stripped"); empty for all other data
    STANDARD_SPLIT  whether the data have a test split; if not, the config sets one

With two more, mistakes that only the data show are told before any are read:

    CLASS_SIZES     how many classes have so many examples, of "train" and "test", or of "all" data
                    that have no test split
    MAXIMUM         largest value that a pixel can have, None for data that are not pictures
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from flatreg import code
from flatreg.config import DataSettings
from flatreg.data.prepared import Prepared

SOURCES = tuple(code.members("data.sources"))


def reader(source: str) -> Callable[[DataSettings], Prepared]:
    """The function that reads a source from its library's cache or package."""
    return import_module(f"flatreg.data.sources.{source}").read
