"""Downloads for real, over loopback, of a small archive laid out like CIFAR-100's."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow_datasets.core.download.checksums import UrlInfo

from flatreg.datasets import cifar100, imdb_reviews, tfds_cache
from flatreg.datasets.prepared import manifest
from flatreg.errors import UserError

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


class Server(http.server.BaseHTTPRequestHandler):
    """Sends `body`, but no more than `sent` bytes of it."""

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


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"


def source(
    like: tfds_cache.Source, served: type[Server], body: bytes, expected: bytes | None = None
) -> tfds_cache.Source:
    """The source with its archive on the server, and the checksum of what is expected."""
    served.body = body
    expected = body if expected is None else expected
    info = UrlInfo(len(expected), hashlib.sha256(expected).hexdigest(), "archive.tar.gz")
    return like._replace(archive=tfds_cache.Archive(served.url, info))


def leftovers(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


@pytest.mark.slow
def test_pictures_come_as_they_are_in_the_archive(served: type[Server], cache: Path) -> None:
    done = cifar100.read_source(source(cifar100.SOURCE, served, tar(CIFAR)))
    facts = manifest(done)
    assert facts["splits"]["train"]["examples"] == 200
    assert facts["splits"]["test"]["class_counts"]["fine_7"] == 1
    place = int(np.flatnonzero(done.labels["test"] == 7)[0])
    planes = RECORDS[7, 2:].reshape(3, 32, 32)
    np.testing.assert_array_equal(done.arrays["x_test"][place], planes.transpose(1, 2, 0))
    served.status = 404  # the second time nothing is asked for
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
        ("wrong checksum", "another SHA-256"),
        ("truncated", "the archive is broken"),
        ("404", "HTTP status 404"),
        ("gone half-way", "was gone after"),
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
