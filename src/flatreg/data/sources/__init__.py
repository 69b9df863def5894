"""Where data sets come from: one module for each source, known by its name.

A source is a module of this folder with `read(settings) -> Prepared`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from flatreg.config import DataSettings
from flatreg.data.prepared import Prepared

SOURCES = ("breast_cancer", "cifar100", "digits", "imdb_reviews", "newsgroups20")


def reader(source: str) -> Callable[[DataSettings], Prepared]:
    """The function that reads a source from its library's cache or package."""
    return import_module(f"flatreg.data.sources.{source}").read
