"""A prepared data set: examples in canonical order, one array file, one manifest.

Order and hash depend on the examples alone, not on the files that held them, so two caches of the
same data give the same bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flatreg.disk import scratch
from flatreg.disk.files import check_checksum, checked_path
from flatreg.errors import UserError


class About(NamedTuple):
    """Where a source comes from.

    Attributes:
        name: of the source.
        title: for readers.
        version: of the data that are read.
        url: of its home.
        licence: as its authors state it.
        citation: one line.
        class_names: in the order of the labels.
        maximum: largest value that a pixel can have, None for data that are not pictures.
    """

    name: str
    title: str
    version: str
    url: str
    licence: str
    citation: str
    class_names: tuple[str, ...]
    maximum: float | None


class Prepared(NamedTuple):
    """The result of a source's module.

    Attributes:
        about: where it comes from.
        labels: int32 [n] of "train" and "test".
        digests: SHA-256 of each example and its label, in the order of `labels`.
        arrays: all other arrays of the file.
    """

    about: About
    labels: dict[str, np.ndarray]
    digests: dict[str, list[bytes]]
    arrays: dict[str, np.ndarray]


def canonical_order(digests: list[bytes]) -> np.ndarray:
    """Row numbers, sorted by the digests of the examples."""
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def digest_rows(rows: Iterable[bytes], labels: np.ndarray) -> list[bytes]:
    """SHA-256 of each example with its label."""
    return [
        hashlib.sha256(int(y).to_bytes(4, "little") + row).digest()
        for row, y in zip(rows, labels, strict=True)
    ]


def content_hash(digests: dict[str, list[bytes]]) -> str:
    """SHA-256 (hex) of all splits, whatever the order of their examples."""
    total = hashlib.sha256()
    for split in sorted(digests):
        total.update(split.encode())
        for digest in sorted(digests[split]):
            total.update(digest)
    return total.hexdigest()


def of_table(about: About, splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> Prepared:
    """Prepare dense examples, a table or pictures, with their labels."""
    labels, digests, arrays = {}, {}, {}
    for split, (x, y) in splits.items():
        row_digests = digest_rows((row.tobytes() for row in np.ascontiguousarray(x)), y)
        order = canonical_order(row_digests)
        arrays[f"x_{split}"] = x[order]
        labels[split] = y[order].astype(np.int32)
        digests[split] = [row_digests[i] for i in order]
    return Prepared(about, labels, digests, arrays)


def save(path: Path, prepared: Prepared) -> None:
    """Write the array file; equal examples give equal bytes."""
    about = prepared.about
    write_arrays(
        path,
        {
            "name": np.array(about.name),
            "classes": np.array(len(about.class_names)),
            "maximum": np.array(np.nan if about.maximum is None else about.maximum),
            "sha256": np.array(content_hash(prepared.digests)),
            **{f"y_{split}": y for split, y in prepared.labels.items()},
            **prepared.arrays,
        },
    )


def manifest(prepared: Prepared) -> dict[str, Any]:
    """The manifest: what the array file holds and where the data come from."""
    about = prepared.about
    return {
        "source": about.name,
        "title": about.title,
        "version": about.version,
        "url": about.url,
        "licence": about.licence,
        "citation": about.citation,
        "classes": len(about.class_names),
        "splits": {
            split: {
                "examples": len(y),
                "class_counts": dict(
                    zip(
                        about.class_names,
                        np.bincount(y, minlength=len(about.class_names)).tolist(),
                        strict=True,
                    )
                ),
            }
            for split, y in prepared.labels.items()
        },
        "sha256": content_hash(prepared.digests),
    }


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz, not compressed: unpacking would take longer than a short training."""
    with checked_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz.

    Raises:
        UserError: the file is missing or broken.
    """
    try:
        near = scratch.near(path)
        if near == path:
            check_checksum(path)
        with near.open("rb") as handle, np.load(handle) as arrays:
            return dict(arrays)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; prepare the data first") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is broken ({error}); delete it and prepare it again") from error
