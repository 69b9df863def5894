"""Texts as word counts, and word counts as TF-IDF."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from flatreg.config import DataSettings
from flatreg.data.csr import csr_arrays

Split = dict[str, list[str]]


def count_words(reading: str, texts: Split) -> dict[str, np.ndarray]:
    """Count the words of all texts, in the vocabulary of the training texts.

    Args:
        reading: prefix of the arrays' names.
        texts: of "train" and "test".

    Returns:
        CSR matrices `<reading>_train` and `<reading>_test` [n, words], and `<reading>_words`: the
        words in the order of the columns, as UTF-8 bytes separated by newlines.
    """
    vectorizer = CountVectorizer()
    train = vectorizer.fit_transform(texts["train"])
    test = vectorizer.transform(texts["test"])
    words = "\n".join(vectorizer.get_feature_names_out()).encode()
    return {
        **csr_arrays(f"{reading}_train", _compact(train)),
        **csr_arrays(f"{reading}_test", _compact(test)),
        f"{reading}_words": np.frombuffer(words, dtype=np.uint8),
    }


def tfidf(
    train: sparse.csr_array, test: sparse.csr_array, settings: DataSettings
) -> tuple[sparse.csr_array, sparse.csr_array, np.ndarray]:
    """TF-IDF with unit length per text; vocabulary and frequencies come from the training texts.

    Args:
        train: counts [n, words].
        test: counts [m, words].
        settings: `vocabulary` (number of the most frequent words to use) and `sublinear_tf`.

    Returns:
        Features of both (float32), and the columns that they use, in rising order.
    """
    columns = most_frequent(train, settings["vocabulary"])
    transform = TfidfTransformer(sublinear_tf=settings["sublinear_tf"])
    # In float64, so that the sums are rounded only once.
    features = [
        transform.fit_transform(train[:, columns].astype(np.float64)),
        transform.transform(test[:, columns].astype(np.float64)),
    ]
    first, second = (sparse.csr_array(f, dtype=np.float32) for f in features)
    return first, second, columns


def most_frequent(counts: sparse.csr_array, words: int) -> np.ndarray:
    """Columns with the highest sums, in rising order; of ties the earlier word."""
    totals = np.asarray(counts.sum(axis=0, dtype=np.int64)).ravel()
    return np.sort(np.argsort(-totals, kind="stable")[:words])


def decode_words(encoded: np.ndarray) -> list[str]:
    """The words as a list, from the bytes of `count_words`."""
    return encoded.tobytes().decode().split("\n")


def _compact(counts: Any) -> sparse.csr_array:
    counts.sort_indices()
    return sparse.csr_array(counts, dtype=np.uint16)
