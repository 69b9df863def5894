"""The arrays that a run trains, chooses and is tested on.

The validation split comes out of the training split, and every statistic of the
inputs is taken from what is left of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split

from flatreg.datasets import Dataset
from flatreg.errors import UserError

Features = np.ndarray | sparse.csr_array


class Splits(NamedTuple):
    """Inputs [n, d] (float32, or CSR float32) and labels [n] (int32) of each split."""

    x_train: Features
    y_train: np.ndarray
    x_validation: Features
    y_validation: np.ndarray
    x_test: Features
    y_test: np.ndarray
    classes: int
    sha256: str


def prepare(dataset: Dataset, settings: dict[str, Any]) -> Splits:
    """Split the training data, then scale all inputs as `settings["inputs"]` says.

    Args:
        dataset: the prepared data set.
        settings: of the run; read are `inputs`, `validation_fraction`, `validation_seed`.

    Raises:
        UserError: the data cannot be scaled or split so.
    """
    train, validation = _split_rows(dataset, settings)
    transform = _transform(settings["inputs"], dataset, train)
    return Splits(
        x_train=transform(dataset.x_train[train]),
        y_train=dataset.y_train[train],
        x_validation=transform(dataset.x_train[validation]),
        y_validation=dataset.y_train[validation],
        x_test=transform(dataset.x_test),
        y_test=dataset.y_test,
        classes=dataset.classes,
        sha256=dataset.sha256,
    )


def without_test(splits: Splits) -> Splits:
    """The same splits with an empty test split, for whoever makes a choice."""
    return splits._replace(x_test=splits.x_test[:0], y_test=splits.y_test[:0])


def take(x: Features, rows: np.ndarray) -> np.ndarray:
    """Dense float32 rows [len(rows), d] of inputs."""
    picked = x[rows]
    return picked.toarray() if sparse.issparse(picked) else picked


def _split_rows(dataset: Dataset, settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers, in rising order, of the training and validation examples, stratified."""
    try:
        train, validation = train_test_split(
            np.arange(len(dataset.y_train)),
            test_size=settings["validation_fraction"],
            random_state=settings["validation_seed"],
            stratify=dataset.y_train,
        )
    except ValueError as error:
        raise UserError(
            f"{dataset.name}: validation_fraction {settings['validation_fraction']} leaves no "
            f"example of some class ({error}); choose a larger one"
        ) from error
    return np.sort(train), np.sort(validation)


def _transform(inputs: str, dataset: Dataset, train: np.ndarray):
    """The function that turns raw rows into model inputs [n, d]."""
    if sparse.issparse(dataset.x_train):
        if inputs != "raw":
            raise UserError(
                f"{dataset.name}: inputs {inputs!r} would fill the sparse features; "
                "write `inputs: raw` (they are scaled already)"
            )
        return lambda x: sparse.csr_array(x, dtype=np.float32)
    if inputs == "raw":
        return _flatten
    if inputs == "unit":
        if dataset.maximum is None:
            raise UserError(
                f"{dataset.name}: inputs 'unit' divides by the largest pixel value, which only "
                "pictures have; write `inputs: raw` or `inputs: standardized`"
            )
        return lambda x: _flatten(x) / np.float32(dataset.maximum)
    return _standardization(_flatten(dataset.x_train[train]))


def _standardization(x: np.ndarray):
    """Centre and scale each feature by its mean and standard deviation in `x`."""
    mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = x.std(axis=0, dtype=np.float64).astype(np.float32)
    deviation[deviation == 0] = 1
    return lambda rows: (_flatten(rows) - mean) / deviation


def _flatten(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, dtype=np.float32).reshape(len(x), -1)
