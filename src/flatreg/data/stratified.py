"""Split examples in two parts that have the same shares of each class.

The rows are those that scikit-learn's `train_test_split(..., stratify=labels, random_state=seed)`
gives. Importing it takes longer than importing JAX, so a training computes them with NumPy.

References:
    StratifiedShuffleSplit of scikit-learn (BSD licence): F. Pedregosa et al. Scikit-learn: Machine
    learning in Python. JMLR 12, 2011.
"""

from __future__ import annotations

import math

import numpy as np


def split_rows(labels: np.ndarray, size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw which examples make the first and the second part.

    Args:
        labels: [n]
        size: of the second part: a fraction of n (float, rounded up) or a number (int).
        seed: of the draw.

    Returns:
        Row numbers of both parts, int64, each in random order; every example is in one of them.

    Raises:
        ValueError: a class has one example only, or a part has fewer examples than there are
            classes.
    """
    second = size if isinstance(size, int) else math.ceil(size * len(labels))
    first = len(labels) - second
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError(f"class {classes[counts.argmin()]} has one example")
    if min(first, second) < len(classes):
        raise ValueError(f"{len(classes)} classes, but parts of {first} and {second} examples")
    rng = np.random.RandomState(seed)
    heads = _shares(counts, first, rng)
    # The second part gets all others; scikit-learn draws here too, which moves the later draws.
    _shares(counts - heads, second, rng)
    ones, others = [], []
    rows = np.split(np.argsort(numbers, kind="stable"), counts.cumsum()[:-1])
    for of_class, head in zip(rows, heads, strict=True):
        mixed = rng.permutation(of_class)
        ones.append(mixed[:head])
        others.append(mixed[head:])
    return rng.permutation(np.concatenate(ones)), rng.permutation(np.concatenate(others))


def subset_rows(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Draw `size` examples with the same shares of each class as all have.

    Args:
        labels: [n]
        size: number of examples, at most n.
        seed: of the draw.

    Returns:
        Row numbers, int64, in rising order.
    """
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rng = np.random.RandomState(seed)
    rows = np.split(np.argsort(numbers, kind="stable"), counts.cumsum()[:-1])
    drawn = [
        rng.permutation(of_class)[:share]
        for of_class, share in zip(rows, _shares(counts, size, rng), strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def _shares(counts: np.ndarray, wanted: int, rng: np.random.RandomState) -> np.ndarray:
    """How many of `wanted` examples to take from each class, in proportion to `counts`.

    The result is close to the most likely draw without replacement (the mode of a multivariate
    hypergeometric distribution): proportions are rounded down, and the examples that are then
    missing come from the classes with the largest remainders, ties drawn at random.

    Args:
        counts: examples of each class [classes].
        wanted: at most their sum.
        rng: draws among ties.

    Returns:
        int64 [classes] with the sum `wanted`.
    """
    proportions = counts / counts.sum() * wanted
    shares = np.floor(proportions)
    remainders = proportions - shares
    for remainder in np.unique(remainders)[::-1]:
        missing = int(wanted - shares.sum())
        if missing == 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        shares[rng.choice(tied, size=min(len(tied), missing), replace=False)] += 1
    return shares.astype(np.int64)
