"""CIFAR-100 through tensorflow-datasets (`TFDS_DATA_DIR`), without TensorFlow.

References:
    A. Krizhevsky. Learning multiple layers of features from tiny images. 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorflow_datasets.image_classification.cifar import Cifar100

from flatreg.config import DataSettings
from flatreg.data import tfds_cache
from flatreg.data.download import DownloadError, members
from flatreg.data.prepared import About, Prepared, of_table

# Only texts have readings.
READINGS = ()
STANDARD_SPLIT = True
# How many classes have so many examples, and the largest value of a pixel: the config is checked
# against them before anything is read.
CLASS_SIZES = {"train": {500: 100}, "test": {100: 100}}
MAXIMUM = 255.0

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
FOLDER = "cifar-100-binary"
LABEL_FILES = {"coarse_label": "coarse_label_names.txt", "label": "fine_label_names.txt"}
PICTURE_SHAPE = (3, 32, 32)


class Builder(tfds_cache.ArchiveBuilder, Cifar100, skip_registration=True):
    """The library's builder, with NumPy and Pillow in place of TensorFlow."""

    name = "cifar100"

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict]]]:
        path = dl_manager.download(self.archive.url)
        files = {name: contents.read() for name, contents in members(path)}
        for label, file in LABEL_FILES.items():
            self.info.features[label].names = _file(files, file).decode().split()
        return {
            split: _pictures(f"{split}_", _file(files, f"{split}.bin"))
            for split in ("train", "test")
        }


SOURCE = tfds_cache.Source(
    "cifar100", None, "3.0.2", Builder, tfds_cache.Archive(URL, Cifar100.url_infos[URL])
)


def cache() -> Path:
    """The folder of the cache."""
    return tfds_cache.data_dir() / SOURCE.folder


def read(settings: DataSettings) -> Prepared:
    """50,000 training and 10,000 test pictures [32, 32, 3] (uint8), fine labels.

    Raises:
        UserError: no cache and no download, or a broken cache.
    """
    del settings
    return read_source(SOURCE)


def read_source(source: tfds_cache.Source) -> Prepared:
    """Like `read`, for any archive.

    Raises:
        UserError: no cache and no download, or a broken cache.
    """
    cache = tfds_cache.open_cache(source)
    splits = {}
    for split in ("train", "test"):
        examples = tfds_cache.examples(cache, split)
        pictures, labels = zip(*((e["image"], e["label"]) for e in examples), strict=True)
        splits[split] = (np.stack(pictures), np.array(labels))
    about = About(
        name="cifar100",
        title="CIFAR-100",
        version=str(cache.builder.info.version),
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated",
        citation="Krizhevsky 2009, Learning multiple layers of features from tiny images",
        class_names=tuple(cache.builder.info.features["label"].names),
        maximum=MAXIMUM,
    )
    return of_table(about, splits)


def _file(files: dict[str, bytes], name: str) -> bytes:
    try:
        return files[f"{FOLDER}/{name}"]
    except KeyError as error:
        raise DownloadError(f"the archive has no {FOLDER}/{name}") from error


def _pictures(prefix: str, contents: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield examples as the library's features; a record is coarse label, fine label, picture."""
    length = len(LABEL_FILES) + int(np.prod(PICTURE_SHAPE))
    if len(contents) % length:
        raise DownloadError(f"the archive's {prefix.rstrip('_')}.bin is truncated")
    for index, record in enumerate(np.frombuffer(contents, np.uint8).reshape(-1, length)):
        picture = record[len(LABEL_FILES) :].reshape(PICTURE_SHAPE).transpose(1, 2, 0)
        yield (
            index,
            {
                "id": f"{prefix}{index:05d}",
                "coarse_label": int(record[0]),
                "label": int(record[1]),
                "image": Image.fromarray(picture.copy()),  # the library stores it as a PNG
            },
        )
