"""Real downloads, over loopback, of small archives in the layout of the public ones."""

from __future__ import annotations

import gc
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import _twenty_newsgroups
from sklearn.datasets._base import RemoteFileMetadata
from tensorflow_datasets.core.download.checksums import UrlInfo

from flatreg.data import tfds_cache
from flatreg.data.prepared import manifest
from flatreg.data.sources import cifar100, imdb_reviews, newsgroups20
from flatreg.errors import UserError

# Sockets that a failed request leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

RNG = np.random.default_rng(0)
# A picture of each class: coarse label, fine label, red, green and blue planes.
RECORDS = np.column_stack(
    [np.arange(100) // 5, np.arange(100), RNG.integers(0, 256, (100, 3072))]
).astype(np.uint8)


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return packed.getvalue()


def names(prefix: str, count: int) -> bytes:
    return "".join(f"{prefix}_{i}\n" for i in range(count)).encode()


CIFAR = {
    "cifar-100-binary/coarse_label_names.txt": names("coarse", 20),
    "cifar-100-binary/fine_label_names.txt": names("fine", 100),
    "cifar-100-binary/train.bin": np.concatenate([RECORDS, RECORDS[::-1]]).tobytes(),
    "cifar-100-binary/test.bin": RECORDS.tobytes(),
}
REVIEWS = {
    f"aclImdb/{split}/{label}/{i}_7.txt": f"a {label} film, number {i} of {split}".encode()
    for split in ("train", "test")
    for label in ("pos", "neg")
    for i in range(3)
} | {"aclImdb/train/unsup/0_0.txt": b"unlabelled"}

POSTS = {
    f"20news-bydate-{split}/{group}/{i}": (
        f"From: me\nSubject: {group}\n\nPost {i} of {split}\n> a quote\n\n--\nme"
    ).encode()
    for split in ("train", "test")
    for group in ("alt.atheism", "sci.space")
    for i in range(3)
}


class Server(http.server.BaseHTTPRequestHandler):
    """Sends at most `sent` bytes of `body`."""

    body = b""
    sent: int | None = None
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body[: self.sent])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[type[Server]]:
    handler = type("Handler", (Server,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        handler.url = f"http://127.0.0.1:{server.server_port}/archive.tar.gz"
        yield handler
        server.shutdown()
        thread.join()
    gc.collect()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "scikit_learn"))
    return tmp_path / "tfds"


def source(
    like: tfds_cache.Source, served: type[Server], body: bytes, expected: bytes | None = None
) -> tfds_cache.Source:
    """The source with its archive on the server, and the checksum of the expected archive."""
    served.body = body
    expected = body if expected is None else expected
    info = UrlInfo(len(expected), hashlib.sha256(expected).hexdigest(), "archive.tar.gz")
    return like._replace(archive=tfds_cache.Archive(served.url, info))


def leftovers(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*"))


@pytest.mark.slow
def test_pictures_come_as_they_are_in_the_archive(served: type[Server], cache: Path) -> None:
    done = cifar100.read_source(source(cifar100.SOURCE, served, tar(CIFAR)))
    facts = manifest(done)
    assert facts["splits"]["train"]["examples"] == 200
    assert facts["splits"]["test"]["class_counts"]["fine_7"] == 1
    place = int(np.flatnonzero(done.labels["test"] == 7)[0])
    planes = RECORDS[7, 2:].reshape(3, 32, 32)
    np.testing.assert_array_equal(done.arrays["x_test"][place], planes.transpose(1, 2, 0))
    served.status = 404  # the second time it is not downloaded
    again = cifar100.read_source(source(cifar100.SOURCE, served, tar(CIFAR)))
    assert manifest(again)["sha256"] == facts["sha256"]
    assert not [name for name in leftovers(cache) if "archive" in name]


@pytest.mark.slow
def test_the_order_in_the_archive_changes_nothing(
    served: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cifar100.read_source(source(cifar100.SOURCE, served, tar(CIFAR)))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "other"))
    shuffled = dict(CIFAR) | {"cifar-100-binary/test.bin": RECORDS[::-1].tobytes()}
    other = cifar100.read_source(source(cifar100.SOURCE, served, tar(shuffled)))
    assert manifest(done) == manifest(other)
    for name, array in done.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


@pytest.mark.slow
def test_reviews_come_with_their_labels(served: type[Server]) -> None:
    done = imdb_reviews.read_source(source(imdb_reviews.SOURCE, served, tar(REVIEWS)))
    assert manifest(done)["splits"]["train"]["class_counts"] == {"neg": 3, "pos": 3}
    assert "whole_train_data" in done.arrays


@pytest.mark.slow
def test_the_library_finds_what_was_downloaded(served: type[Server], cache: Path) -> None:
    cifar100.read_source(source(cifar100.SOURCE, served, tar(CIFAR)))
    imdb_reviews.read_source(source(imdb_reviews.SOURCE, served, tar(REVIEWS)))
    pictures = tfds.data_source("cifar100", data_dir=cache, download=False)
    assert {split: len(found) for split, found in pictures.items()} == {"train": 200, "test": 100}
    first = pictures["test"][0]
    assert first["coarse_label"] == first["label"] // 5
    assert first["id"].startswith(b"test_")
    reviews = tfds.data_source("imdb_reviews", data_dir=cache, download=False)
    assert len(reviews["unsupervised"]) == 1
    assert tfds.builder("imdb_reviews", data_dir=cache).info.citation.startswith("@InProceedings")


@pytest.mark.slow
def test_broken_caches_are_told_apart(
    served: type[Server], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = source(cifar100.SOURCE, served, tar(CIFAR))
    cifar100.read_source(told)
    folder = cache / "cifar100/3.0.2"

    (records,) = folder.glob("*train.array_record*")
    whole = records.read_bytes()
    records.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cifar100 in .* is broken .* delete that folder"):
        cifar100.read_source(told)

    info = folder / "dataset_info.json"
    text = info.read_text(encoding="utf-8")
    info.write_text(text.replace("array_record", "tfrecord"), encoding="utf-8")
    with pytest.raises(UserError, match=r"as tfrecord, .* set TFDS_DATA_DIR to another folder"):
        cifar100.read_source(told)

    info.write_text(text[:100], encoding="utf-8")
    with pytest.raises(UserError, match=r"cifar100 in .* is broken"):
        cifar100.read_source(told)

    folder.rename(folder.with_name("2.0.0"))
    served.status = 404
    with pytest.raises(UserError, match=r"3\.0\.2 is not in .*, which has version 2\.0\.0, and"):
        cifar100.read_source(told)


def failing(kind: str, served: type[Server]) -> tfds_cache.Source:
    good = tar(CIFAR)
    match kind:
        case "wrong checksum":
            return source(cifar100.SOURCE, served, tar(CIFAR | {"more": b""}), good)
        case "truncated":
            return source(cifar100.SOURCE, served, good[: len(good) // 2])
        case "404":
            served.status = 404
        case "gone half-way":
            served.sent = len(good) // 2
        case "outside":
            return source(cifar100.SOURCE, served, tar({"../../outside": b"x"} | CIFAR))
        case "no server":
            chosen = source(cifar100.SOURCE, served, good)
            return chosen._replace(
                archive=chosen.archive._replace(url="http://127.0.0.1:9/archive.tar.gz")
            )
    return source(cifar100.SOURCE, served, good)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong checksum", "the SHA-256 of the download is not"),
        ("truncated", "the archive is broken"),
        ("404", "HTTP status 404"),
        ("gone half-way", "stopped sending after"),
        ("outside", "points outside its folder"),
        ("no server", "no connection to 127.0.0.1:9"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    served: type[Server], cache: Path, tmp_path: Path, kind: str, reason: str
) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        cifar100.read_source(failing(kind, served))
    said = str(caught.value)
    assert "\n" not in said
    assert "cifar100" in said
    assert "TFDS_DATA_DIR" in said
    assert " MB" in said
    assert leftovers(cache) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("source_name", ["cifar100", "imdb_reviews", "newsgroups20"])
def test_without_cache_and_network_the_command_says_so_in_one_line(
    source_name: str, root: Path, tmp_path: Path
) -> None:
    with socket.socket() as unused:  # a proxy that does not answer is like no network
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
        config = tmp_path / "config.json"
        config.write_text('{"data": {}}', encoding="utf-8")
        out = tmp_path / "data.npz"
        command = [sys.executable, "-m", "flatreg.data.prepare", "--config", config]
        done = subprocess.run(
            [*command, "--dataset", source_name, "--out", out, "--manifest", tmp_path / "m.json"],
            env=os.environ | {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {source_name} ")
    assert "_DATA" in done.stderr
    assert " MB)" in done.stderr
    assert not out.exists()
    assert not (tmp_path / "m.json").exists()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "scikit_learn"


def publish(
    served: type[Server], monkeypatch: pytest.MonkeyPatch, body: bytes, expected: bytes
) -> None:
    """Replace scikit-learn's own archive, whose URL is not an argument."""
    served.body = body
    archive = RemoteFileMetadata(
        "20news-bydate.tar.gz", served.url, hashlib.sha256(expected).hexdigest()
    )
    monkeypatch.setattr(_twenty_newsgroups, "ARCHIVE", archive)


def test_posts_come_in_both_readings(
    served: type[Server], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    publish(served, monkeypatch, tar(POSTS), tar(POSTS))
    done = newsgroups20.read({})
    assert manifest(done)["splits"]["test"]["class_counts"] == {"alt.atheism": 3, "sci.space": 3}
    whole, stripped = (
        set(bytes(done.arrays[f"{reading}_words"]).decode().split())
        for reading in ("whole", "stripped")
    )
    assert {"subject", "quote", "post"} <= whole
    assert stripped == {"post", "of", "train"}
    assert leftovers(home) == [newsgroups20.CACHE]
    served.status = 404  # the second time it is not downloaded
    assert manifest(newsgroups20.read({})) == manifest(done)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong checksum", "differs from expected"),
        ("truncated", "end-of-stream"),
        ("404", "HTTP Error 404"),
        ("gone half-way", "got only"),
        ("outside", "outside"),
    ],
)
def test_a_failure_of_posts_is_one_line_and_leaves_nothing(
    served: type[Server],
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    tmp_path: Path,
    kind: str,
    reason: str,
) -> None:
    good = tar(POSTS)
    body = {
        "wrong checksum": tar(POSTS | {"more": b""}),
        "truncated": good[: len(good) // 2],
        "outside": tar({"../../../outside": b"x"} | POSTS),
    }.get(kind, good)
    publish(served, monkeypatch, body, good if kind == "wrong checksum" else body)
    served.status = 404 if kind == "404" else 200
    served.sent = len(good) // 2 if kind == "gone half-way" else None
    with pytest.raises(UserError, match=reason) as caught:
        newsgroups20.read({})
    said = str(caught.value)
    assert said.startswith("newsgroups20 is not in")
    assert "\n" not in said
    assert "SCIKIT_LEARN_DATA" in said
    assert "14 MB" in said
    assert leftovers(home) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("broken", [b"not zlib", None])
def test_a_broken_cache_of_posts_is_kept_and_said(
    served: type[Server], monkeypatch: pytest.MonkeyPatch, home: Path, broken: bytes | None
) -> None:
    publish(served, monkeypatch, tar(POSTS), tar(POSTS))
    newsgroups20.read({})
    cache = home / newsgroups20.CACHE
    broken = broken or cache.read_bytes()[:-50]
    cache.write_bytes(broken)
    with pytest.raises(UserError, match=r"the cache of newsgroups20, .* is broken .*; delete it"):
        newsgroups20.read({})
    assert cache.read_bytes() == broken
