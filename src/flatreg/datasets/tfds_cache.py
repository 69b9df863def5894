"""The cache that tensorflow-datasets keeps, read without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from flatreg.errors import UserError


class Wanted(NamedTuple):
    """A data set of tensorflow-datasets.

    Attributes:
        name: as in `tfds.builder(name)`.
        config: its builder config, None for the only one.
        version: of the data.
        megabytes: size of the download.
    """

    name: str
    config: str | None
    version: str
    megabytes: int


class Cache(NamedTuple):
    """A prepared data set and the builder that reads it."""

    wanted: Wanted
    builder: Any


CIFAR100 = Wanted("cifar100", None, "3.0.2", 161)
IMDB_REVIEWS = Wanted("imdb_reviews", "plain_text", "1.0.0", 80)


def data_dir() -> Path:
    """The folder of the caches, absolute: `TFDS_DATA_DIR`, or the library's own default."""
    return (
        Path(os.environ.get("TFDS_DATA_DIR", tfds.core.constants.DATA_DIR)).expanduser().resolve()
    )


def open_cache(wanted: Wanted) -> Cache:
    """The cached data set.

    Raises:
        UserError: it is not there, or of another version or format.
    """
    folder = data_dir() / wanted.name / (wanted.config or "")
    path = folder / wanted.version
    if not path.is_dir():
        found = sorted(p.name for p in folder.glob("*.*.*")) if folder.is_dir() else []
        other = f"; {folder} has version {', '.join(found)}" if found else ""
        raise UserError(
            f"{wanted.name} {wanted.version} is not in {data_dir()}{other}; {_advice(wanted)}"
        )
    try:
        return Cache(wanted, tfds.builder_from_directory(path))
    except Exception as error:  # the library raises what its file layers raise
        raise _broken(wanted, error) from error


def examples(cache: Cache, split: str) -> list[dict[str, Any]]:
    """All examples of a split.

    Raises:
        UserError: the cache is truncated or broken.
    """
    try:
        source = cache.builder.as_data_source(split=split)
        found = [source[i] for i in range(len(source))]
    except Exception as error:  # the library raises what its file layers raise
        raise _broken(cache.wanted, error) from error
    expected = cache.builder.info.splits[split].num_examples
    if len(found) != expected:
        raise _broken(cache.wanted, f"{len(found)} of {expected} examples of {split}")
    return found


def _broken(wanted: Wanted, reason: object) -> UserError:
    line = " ".join(str(reason).split())[:160]
    return UserError(
        f"the cache of {wanted.name} in {data_dir()} is broken ({line}); delete "
        f"{data_dir() / wanted.name} and {_advice(wanted)}"
    )


def _advice(wanted: Wanted) -> str:
    return (
        f"set TFDS_DATA_DIR to a folder that has it, or connect to the network "
        f"({wanted.megabytes} MB)"
    )
