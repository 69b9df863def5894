"""Download an archive within a time limit, and read it without unpacking."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests

CONNECT_SECONDS = 5
SILENCE_SECONDS = 20
BLOCK_BYTES = 1 << 20
# Larger than every archive of the study, packed or unpacked.
LARGEST_BYTES = 1 << 30


class DownloadError(Exception):
    """An archive cannot be downloaded or read; the message says why, in a few words."""


def fetch(url: str, path: Path) -> None:
    """Download a file to `path`.

    The libraries' own downloads have no time limit for a silent server, and retry for minutes
    without a network.

    Raises:
        DownloadError: no answer, a status other than 200, a cut or too large file.
    """
    host = urlsplit(url).netloc
    try:
        with requests.get(
            url,
            stream=True,
            timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
            headers={"Accept-Encoding": "identity"},
        ) as response:
            if response.status_code != requests.codes.ok:
                raise DownloadError(f"{url} answers with HTTP status {response.status_code}")
            with path.open("wb") as handle:
                for block in response.iter_content(BLOCK_BYTES):
                    if handle.tell() + len(block) > LARGEST_BYTES:
                        raise DownloadError(f"{url} sends more than {LARGEST_BYTES} bytes")
                    handle.write(block)
    except requests.RequestException as error:
        if path.exists():
            received = path.stat().st_size
            raise DownloadError(f"{host} stopped sending after {received} bytes") from error
        raise DownloadError(f"no connection to {host}") from error


def members(path: Path) -> Iterator[tuple[str, io.BytesIO]]:
    """Yield name and contents of each file in a .tar.gz, in its order, without writing to disk.

    Raises:
        DownloadError: a member's name points outside the archive's folder, or the archive is too
            large or broken.
    """
    unpacked = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                unpacked += member.size
                if unpacked > LARGEST_BYTES:
                    raise DownloadError(f"the archive holds more than {LARGEST_BYTES} bytes")
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise DownloadError(
                        f"the archive's member {member.name} points outside its folder"
                    )
                contents = archive.extractfile(member) if member.isfile() else None
                if contents is not None:
                    yield str(name), io.BytesIO(contents.read())
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DownloadError(f"the archive is broken: {error}") from error
