"""CIFAR-100 through tensorflow-datasets (`TFDS_DATA_DIR`), without TensorFlow.

References:
    A. Krizhevsky. Learning multiple layers of features from tiny images. 2009.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flatreg.datasets import tfds_cache
from flatreg.datasets.prepared import About, Prepared, of_table


def read(settings: dict[str, Any]) -> Prepared:
    """50,000 training and 10,000 test pictures [32, 32, 3] (uint8), fine labels.

    Raises:
        UserError: no cache and no network, or a broken cache.
    """
    del settings
    cache = tfds_cache.open_cache(tfds_cache.CIFAR100)
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
        maximum=255.0,
    )
    return of_table(about, splits)
