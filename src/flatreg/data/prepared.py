"""A prepared data set: examples in an order of their own, one array file, one manifest.

The order and the hash are taken from the examples, never from the files they came in, so two
caches of the same data give the same bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from flatreg.disk import scratch
from flatreg.disk.files import check_checksum, checked_path
from flatreg.errors import UserError


class About(NamedTuple):
    """Where a source comes from.

    Attributes:
        name: of the source.
        title: for people.
        version: of the copy that is read.
        url: of its home.
        licence: as its authors state it.
        citation: one line.
        class_names: in the order of the labels.
        maximum: largest value a pixel can have, None for what is no picture.
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
    """What a source's module hands over.

    Attributes:
        about: where it comes from.
        labels: int32 [n] of "train" and "test".
        digests: SHA-256 of each example and its label, in the order of `labels`.
        arrays: everything else the file holds.
    """

    about: About
    labels: dict[str, np.ndarray]
    digests: dict[str, list[bytes]]
    arrays: dict[str, np.ndarray]


def canonical_order(digests: list[bytes]) -> np.ndarray:
    """Row numbers in the order of the examples' digests."""
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def digest_rows(rows: Iterable[bytes], labels: np.ndarray) -> list[bytes]:
    """SHA-256 of each example with its label."""
    return [
        hashlib.sha256(int(y).to_bytes(4, "little") + row).digest()
        for row, y in zip(rows, labels, strict=True)
    ]


def content_hash(digests: dict[str, list[bytes]]) -> str:
    """SHA-256 (hex) of all splits, whatever order their examples came in."""
    total = hashlib.sha256()
    for split in sorted(digests):
        total.update(split.encode())
        for digest in sorted(digests[split]):
            total.update(digest)
    return total.hexdigest()


def of_table(about: About, splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> Prepared:
    """Prepare dense examples: a table or pictures, labels beside them."""
    labels, digests, arrays = {}, {}, {}
    for split, (x, y) in splits.items():
        found = digest_rows((row.tobytes() for row in np.ascontiguousarray(x)), y)
        order = canonical_order(found)
        arrays[f"x_{split}"] = x[order]
        labels[split] = y[order].astype(np.int32)
        digests[split] = [found[i] for i in order]
    return Prepared(about, labels, digests, arrays)


def save(path: Path, prepared: Prepared) -> None:
    """Write the array file; the same examples give the same bytes."""
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
    """What is in the array file and where it comes from."""
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
    """Write arrays as an .npz; unpacking a compressed one takes longer than a short training."""
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


def csr_arrays(prefix: str, matrix: sparse.csr_array) -> dict[str, np.ndarray]:
    """A CSR matrix as named arrays."""
    return {
        f"{prefix}_data": matrix.data,
        f"{prefix}_indices": matrix.indices.astype(np.int32),
        f"{prefix}_indptr": matrix.indptr.astype(np.int64),
        f"{prefix}_shape": np.array(matrix.shape, dtype=np.int64),
    }


def read_csr(arrays: dict[str, np.ndarray], prefix: str) -> sparse.csr_array:
    """The CSR matrix that `csr_arrays` took apart."""
    parts = (arrays[f"{prefix}_{name}"] for name in ("data", "indices", "indptr"))
    return sparse.csr_array(tuple(parts), shape=tuple(arrays[f"{prefix}_shape"]))
