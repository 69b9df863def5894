"""Read the cache of tensorflow-datasets, and fill it where it is empty, without TensorFlow.

The library's builders read their archives and write pictures with TensorFlow. Our builders inherit
name, version, features and checksum from them, but read the same archive without TensorFlow. They
write to the library's place, in a format that it reads without TensorFlow.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from flatreg.data.download import DownloadError, fetch
from flatreg.errors import UserError

ARRAY_RECORD = tfds.core.FileFormat.ARRAY_RECORD


class Archive(NamedTuple):
    """The file that a data set is downloaded as.

    Attributes:
        url: of the file.
        info: its size, SHA-256 and file name.
    """

    url: str
    info: UrlInfo


class Source(NamedTuple):
    """A data set of tensorflow-datasets.

    Attributes:
        name: as in `tfds.builder(name)`.
        config: its builder config, None for the only one.
        version: of the data.
        builder: class derived from `ArchiveBuilder` and the library's builder.
        archive: the file that the builder reads.
    """

    name: str
    config: str | None
    version: str
    builder: type[ArchiveBuilder]
    archive: Archive

    @property
    def folder(self) -> Path:
        """The cache's folder of this version, below `data_dir()`."""
        return Path(self.name, self.config or "", self.version)


class ArchiveBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base class of builders with the archive as an argument."""

    def __init__(self, *, archive: Archive, **keywords: Any) -> None:
        """Build as the library's class, with `archive` in place of its URL and checksum."""
        self.archive = archive
        super().__init__(**keywords)

    @property
    def url_infos(self) -> dict[str, UrlInfo]:
        """Size and checksum by URL, against which the library checks the download."""
        return {self.archive.url: self.archive.info}


class Cache(NamedTuple):
    """A prepared data set and the builder that reads it."""

    source: Source
    builder: Any


def data_dir() -> Path:
    """The absolute folder of all caches: `TFDS_DATA_DIR`, or the library's default."""
    folder = os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return Path(folder).expanduser().resolve()


def open_cache(source: Source) -> Cache:
    """Open the cached data set; download it first if the cache does not have it.

    Raises:
        UserError: it is missing and cannot be downloaded, is broken, or has another format.
    """
    path = data_dir() / source.folder
    if not path.is_dir():
        download(source)
    try:
        builder = tfds.builder_from_directory(path)
    except Exception as error:  # the library raises what its file layers raise
        raise _broken(source, error) from error
    if builder.info.file_format is not ARRAY_RECORD:
        raise UserError(
            f"{path} has {source.name} as {builder.info.file_format.value}, which cannot be read "
            f"without TensorFlow; set TFDS_DATA_DIR to another folder ({_size(source)} to download)"
        )
    return Cache(source, builder)


def examples(cache: Cache, split: str) -> list[dict[str, Any]]:
    """All examples of a split.

    Raises:
        UserError: the cache is truncated or broken.
    """
    try:
        stored = cache.builder.as_data_source(split=split)
        records = [stored[i] for i in range(len(stored))]
    except Exception as error:  # the library raises what its file layers raise
        raise _broken(cache.source, error) from error
    expected = cache.builder.info.splits[split].num_examples
    if len(records) != expected:
        raise _broken(cache.source, f"{len(records)} of {expected} examples of {split}")
    return records


def download(source: Source) -> None:
    """Put a data set into the cache, as a whole or not at all.

    Raises:
        UserError: it cannot be downloaded, its checksum differs from the library's, or the cache
            cannot be written.
    """
    root = data_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{source.name}-", dir=root) as scratch:
            _prepare(source, Path(scratch))
            _move(source, Path(scratch), root)
    except (DownloadError, NonMatchingChecksumError, OSError) as error:
        raise UserError(
            f"{source.name} {source.version} is not in {root}{_others(source)} and cannot be "
            f"downloaded ({_reason(error)}); set TFDS_DATA_DIR to a folder that has it, or connect "
            f"to the network ({_size(source)})"
        ) from error


def _prepare(source: Source, scratch: Path) -> None:
    print(f"downloading {source.name} ({_size(source)}) from {source.archive.url}", flush=True)
    # The library's download manager takes a file of this name from its manual_dir, and checks it.
    fetch(source.archive.url, scratch / source.archive.info.filename)
    tfds.disable_progress_bar()  # it writes to stderr, which is for errors
    builder = source.builder(
        archive=source.archive, data_dir=scratch, config=source.config, file_format=ARRAY_RECORD
    )
    builder.download_and_prepare(
        download_dir=scratch / "downloads",
        download_config=tfds.download.DownloadConfig(
            manual_dir=scratch, force_checksums_validation=True
        ),
    )


def _move(source: Source, scratch: Path, root: Path) -> None:
    # First the files of all its configs; then the data, by one atomic rename.
    common = scratch / source.name / ".config"
    if common.is_dir():
        shutil.copytree(common, root / source.name / ".config", dirs_exist_ok=True)
    (root / source.folder).parent.mkdir(parents=True, exist_ok=True)
    (scratch / source.folder).rename(root / source.folder)


def _others(source: Source) -> str:
    """The other versions in the cache, as part of a sentence."""
    versions = sorted(p.name for p in (data_dir() / source.folder).parent.glob("*.*.*"))
    return f", which has version {', '.join(versions)}," if versions else ""


def _reason(error: Exception) -> str:
    if isinstance(error, NonMatchingChecksumError):
        return "the SHA-256 of the download is not the library's"
    return " ".join(str(error).split())[:200]


def _size(source: Source) -> str:
    return f"{source.archive.info.size / 2**20:.0f} MB"


def _broken(source: Source, reason: object) -> UserError:
    folder = data_dir() / source.folder
    line = " ".join(str(reason).split())[:160]
    return UserError(
        f"the cache of {source.name} in {folder} is broken ({line}); delete that folder to "
        f"download it again ({_size(source)}), or set TFDS_DATA_DIR to another"
    )
