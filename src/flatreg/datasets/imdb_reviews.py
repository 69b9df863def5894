"""IMDB reviews through tensorflow-datasets (`TFDS_DATA_DIR`), without TensorFlow.

References:
    A. L. Maas et al. Learning word vectors for sentiment analysis. ACL 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flatreg.datasets import tfds_cache
from flatreg.datasets.prepared import About, Prepared, canonical_order, digest_rows
from flatreg.datasets.text import count_words


def read(settings: dict[str, Any]) -> Prepared:
    """25,000 training and 25,000 test reviews as word counts `whole_*`; label 1 is positive.

    Raises:
        UserError: no cache and no network, or a broken cache.
    """
    del settings  # the features, not the counts, depend on them
    cache = tfds_cache.open_cache(tfds_cache.IMDB_REVIEWS)
    labels, digests, texts = {}, {}, {}
    for split in ("train", "test"):
        examples = tfds_cache.examples(cache, split)
        reviews = [e["text"] for e in examples]
        y = np.array([e["label"] for e in examples], dtype=np.int32)
        found = digest_rows(reviews, y)
        order = canonical_order(found)
        texts[split] = [reviews[i].decode() for i in order]
        labels[split] = y[order]
        digests[split] = [found[i] for i in order]
    about = About(
        name="imdb_reviews",
        title="IMDB reviews",
        version=str(cache.builder.info.version),
        url="https://ai.stanford.edu/~amaas/data/sentiment/",
        licence="none stated",
        citation="Maas et al. 2011, Learning word vectors for sentiment analysis",
        class_names=tuple(cache.builder.info.features["label"].names),
        maximum=None,
    )
    return Prepared(about, labels, digests, count_words("whole", texts))
