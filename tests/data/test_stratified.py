"""The stratified split is scikit-learn's, row by row, without scikit-learn."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from flatreg.data import standard_split
from flatreg.data.stratified import split_rows
from flatreg.errors import UserError


def theirs(labels: np.ndarray, size: float, seed: int) -> list[np.ndarray]:
    """The rows of scikit-learn's split."""
    return train_test_split(
        np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels
    )


def drawn_labels(rng: np.random.Generator, smallest: int, largest: int) -> np.ndarray:
    """Shuffled int32 labels of 2 to 8 classes, not named 0, 1, ...; every third time equally many.

    Args:
        smallest: examples of a class.
        largest: examples of a class, exclusive.
    """
    classes = rng.permutation(20)[: rng.integers(2, 9)]
    counts = rng.integers(smallest, largest, len(classes))
    if rng.integers(3) == 0:
        counts[:] = counts[0]
    return rng.permutation(np.repeat(classes, counts)).astype(np.int32)


def assert_same(labels: np.ndarray, size: float, seed: int) -> None:
    pairs = zip(split_rows(labels, size, seed), theirs(labels, size, seed), strict=True)
    for ours, expected in pairs:
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("largest", [3, 4, 12, 60, 700])
def test_rows_are_those_of_scikit_learn(largest: int) -> None:
    """With classes of 2 examples, a fraction or a number, and ties (equally large classes)."""
    rng = np.random.default_rng(largest)
    for seed in range(100):
        labels = drawn_labels(rng, 2, largest)
        classes, n = len(np.unique(labels)), len(labels)
        size = int(rng.integers(classes, n - classes + 1))
        assert_same(labels, size, seed)
        assert_same(labels, (size - 0.5) / n, seed)


def test_impossible_splits_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    refused = 0
    for seed in range(300):
        labels = drawn_labels(rng, int(rng.integers(1, 3)), 6)
        size = [rng.uniform(0.01, 0.99), int(rng.integers(1, len(labels)))][seed % 2]
        try:
            theirs(labels, size, seed)
        except ValueError:
            refused += 1
            with pytest.raises(ValueError, match=r"classes, but parts of|has one example"):
                split_rows(labels, size, seed)
        else:
            assert_same(labels, size, seed)
    assert 50 < refused < 250


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.2, 1 / 3, 0.5])
def test_real_labels_are_split_as_by_scikit_learn(fraction: float) -> None:
    _, labels = load_breast_cancer(return_X_y=True)
    for seed in range(26):
        assert_same(labels, fraction, seed)
        assert_same(labels.astype(np.int32), 114, seed)


def test_a_test_split_without_a_class_is_one_line() -> None:
    x, y = np.arange(20), np.repeat([0, 1], 10)
    with pytest.raises(UserError, match=r"test_fraction 0.01 .* parts of 19 and 1 examples"):
        standard_split.stratified(x, y, {"test_fraction": 0.01, "split_seed": 0})


def test_a_training_imports_nothing_that_only_preparation_needs() -> None:
    lines = "import sys, flatreg.train.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "flatreg.data.stratified" in imported
    assert not imported & {"sklearn", "scipy.stats", "jsonschema", "tensorflow_datasets"}
