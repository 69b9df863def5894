"""20 Newsgroups, sorted by date, through scikit-learn (`SCIKIT_LEARN_DATA`).

References:
    K. Lang. NewsWeeder: learning to filter netnews. ICML 1995.
    doi:10.1016/B978-1-55860-377-6.50048-7.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sklearn.datasets import _twenty_newsgroups, fetch_20newsgroups, get_data_home
from sklearn.datasets._base import _fetch_remote

from flatreg.config import DataSettings
from flatreg.data.download import DownloadError, members
from flatreg.data.prepared import About, Prepared, canonical_order, digest_rows
from flatreg.data.text import count_words
from flatreg.errors import UserError

READINGS = ("whole", "stripped")
STANDARD_SPLIT = True
# How many classes have so many examples, and the largest value of a pixel: the config is checked
# against them before anything is read.
CLASS_SIZES = {
    "train": {377: 1, 465: 1, 480: 1, 546: 1, 564: 1, 578: 1, 584: 1, 585: 1, 590: 1, 591: 2,
              593: 2, 594: 2, 595: 1, 597: 1, 598: 1, 599: 1, 600: 1},
    "test": {251: 1, 310: 1, 319: 1, 364: 1, 376: 1, 385: 1, 389: 1, 390: 1, 392: 1, 393: 1,
             394: 2, 395: 1, 396: 3, 397: 1, 398: 2, 399: 1},
}  # fmt: skip
MAXIMUM = None

CACHE = "20news-bydate_py3.pkz"
UNPACKED = "20news_home"
STRIPPED = ("headers", "footers", "quotes")
SILENCE_SECONDS = 10
ADVICE = f"set SCIKIT_LEARN_DATA to a folder that has {CACHE}, or connect to the network (14 MB)"


def cache() -> Path:
    """The file of the cache; the library would make its folder."""
    home = os.environ.get("SCIKIT_LEARN_DATA") or "~/scikit_learn_data"
    return Path(home).expanduser().absolute() / CACHE


def read(settings: DataSettings) -> Prepared:
    """11,314 training and 7,532 test posts as word counts: `whole_*` and `stripped_*`.

    Raises:
        UserError: no cache and no download, or a broken cache.
    """
    del settings  # only the features depend on them
    home = data_home()
    if not (home / CACHE).exists():
        download(home)
    whole = {split: _posts(home, split, ()) for split in ("train", "test")}
    stripped = {split: _posts(home, split, STRIPPED) for split in whole}
    labels, digests, orders = {}, {}, {}
    for split, posts in whole.items():
        row_digests = digest_rows((post.encode() for post in posts.data), posts.target)
        orders[split] = canonical_order(row_digests)
        labels[split] = posts.target[orders[split]].astype("int32")
        digests[split] = [row_digests[i] for i in orders[split]]
    arrays = {}
    for reading, bunches in (("whole", whole), ("stripped", stripped)):
        texts = {s: [bunches[s].data[i] for i in orders[s]] for s in bunches}
        arrays |= count_words(reading, texts)
    about = About(
        name="newsgroups20",
        title="20 Newsgroups, by date",
        version="bydate",
        url="doi:10.1016/B978-1-55860-377-6.50048-7",
        licence="none stated",
        citation="Lang 1995, doi:10.1016/B978-1-55860-377-6.50048-7",
        class_names=tuple(whole["train"].target_names),
        maximum=MAXIMUM,
    )
    return Prepared(about, labels, digests, arrays)


def data_home() -> Path:
    """The absolute folder of the cache: `SCIKIT_LEARN_DATA`, or the library's default.

    Raises:
        UserError: it cannot be created.
    """
    try:
        return Path(get_data_home()).resolve()
    except OSError as error:
        raise UserError(f"newsgroups20 has no cache ({error}); {ADVICE}") from error


def download(home: Path) -> None:
    """Let the library fill the cache, as a whole or not at all.

    Raises:
        UserError: it cannot be downloaded, its checksum differs from the library's, or the cache
            cannot be written.
    """
    print(f"downloading newsgroups20 (14 MB) into {home}", flush=True)
    try:
        # A failed download leaves parts behind; they are deleted with the folder.
        with tempfile.TemporaryDirectory(prefix=".newsgroups20-", dir=home) as scratch:
            with _quick_to_give_up():
                _fetch_checked(Path(scratch, UNPACKED))
                fetch_20newsgroups(data_home=scratch, subset="train", n_retries=1, delay=0.1)
            Path(scratch, CACHE).replace(home / CACHE)
    except (
        OSError,
        http.client.HTTPException,
        tarfile.TarError,
        EOFError,
        zlib.error,
        DownloadError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"newsgroups20 is not in {home} and cannot be downloaded ({reason}); {ADVICE}"
        ) from error


def _fetch_checked(folder: Path) -> None:
    """Download the archive to where the library looks first; no member may point outside.

    The library leaves that check to Python, which has it from 3.11.4 on: Debian 12 lacks it.
    """
    folder.mkdir()
    archive = _fetch_remote(_twenty_newsgroups.ARCHIVE, dirname=folder, n_retries=1, delay=0.1)
    for _ in members(archive):
        pass


@contextlib.contextmanager
def _quick_to_give_up() -> Iterator[None]:
    """Limit the library's wait for a silent server, and hide its warning before a second try."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)


def _posts(home: Path, split: str, remove: tuple[str, ...]) -> Any:
    """The posts of an existing cache, in its order."""
    output = io.StringIO()  # the library prints why a cache cannot be read
    try:
        with contextlib.redirect_stdout(output):
            return fetch_20newsgroups(
                data_home=home,
                subset=split,
                shuffle=False,
                remove=remove,
                download_if_missing=False,
            )
    except (OSError, KeyError, AttributeError, TypeError) as error:
        reason = " ".join(output.getvalue().replace("_", " ").split()) or repr(error)
        raise UserError(
            f"the cache of newsgroups20, {home / CACHE}, is broken ({reason}); delete it to "
            f"download it again, or {ADVICE}"
        ) from error
