"""IMDB reviews through tensorflow-datasets (`TFDS_DATA_DIR`), without TensorFlow.

References:
    A. L. Maas et al. Learning word vectors for sentiment analysis. ACL 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_datasets.datasets.imdb_reviews import imdb_reviews_dataset_builder as library

from flatreg.config import DataSettings
from flatreg.data import tfds_cache
from flatreg.data.download import members
from flatreg.data.prepared import About, Prepared, canonical_order, digest_rows
from flatreg.data.text import count_words

READINGS = ("whole",)
STANDARD_SPLIT = True
# How many classes have so many examples, and the largest value of a pixel: the config is checked
# against them before anything is read.
CLASS_SIZES = {"train": {12500: 2}, "test": {12500: 2}}
MAXIMUM = None

URL = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"


class Builder(tfds_cache.ArchiveBuilder, library.Builder, skip_registration=True):
    """The library's builder, with tarfile in place of TensorFlow."""

    name = "imdb_reviews"
    pkg_dir_path = Path(library.__file__).parent  # the folder with description and citation

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        path = dl_manager.download(self.archive.url)
        return {
            "train": self._generate_examples(members(path), "aclImdb/train"),
            "test": self._generate_examples(members(path), "aclImdb/test"),
            "unsupervised": self._generate_examples(members(path), "aclImdb/train", labeled=False),
        }


SOURCE = tfds_cache.Source(
    "imdb_reviews",
    "plain_text",
    "1.0.0",
    Builder,
    tfds_cache.Archive(URL, library.Builder.url_infos[URL]),
)


def cache() -> Path:
    """The folder of the cache."""
    return tfds_cache.data_dir() / SOURCE.folder


def read(settings: DataSettings) -> Prepared:
    """25,000 training and 25,000 test reviews as word counts `whole_*`; label 1 is positive.

    Raises:
        UserError: no cache and no download, or a broken cache.
    """
    del settings  # only the features depend on them
    return read_source(SOURCE)


def read_source(source: tfds_cache.Source) -> Prepared:
    """Like `read`, for any archive.

    Raises:
        UserError: no cache and no download, or a broken cache.
    """
    cache = tfds_cache.open_cache(source)
    labels, digests, texts = {}, {}, {}
    for split in ("train", "test"):
        examples = tfds_cache.examples(cache, split)
        reviews = [e["text"] for e in examples]
        y = np.array([e["label"] for e in examples], dtype=np.int32)
        row_digests = digest_rows(reviews, y)
        order = canonical_order(row_digests)
        texts[split] = [reviews[i].decode() for i in order]
        labels[split] = y[order]
        digests[split] = [row_digests[i] for i in order]
    about = About(
        name="imdb_reviews",
        title="IMDB reviews",
        version=str(cache.builder.info.version),
        url="https://ai.stanford.edu/~amaas/data/sentiment/",
        licence="none stated",
        citation="Maas et al. 2011, Learning word vectors for sentiment analysis",
        class_names=tuple(cache.builder.info.features["label"].names),
        maximum=MAXIMUM,
    )
    return Prepared(about, labels, digests, count_words("whole", texts))
