"""The training, validation and test arrays of a run.

The validation split is taken from the training split, of which a part may be used alone, and every
statistic of the inputs is computed on the rest of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from flatreg.config import Settings
from flatreg.data.dataset import Dataset
from flatreg.data.stratified import split_rows, subset_rows
from flatreg.errors import UserError

Features = np.ndarray | sparse.csr_array


class Scaling(NamedTuple):
    """How inputs are scaled: (x - shift) / divisor, each float32 [d] or []."""

    shift: np.ndarray
    divisor: np.ndarray

    def __call__(self, x: Any) -> Any:
        """Scale stored inputs, of NumPy or JAX, to float32."""
        return (x.astype(np.float32) - self.shift) / self.divisor


class Split(NamedTuple):
    """Examples of one split in their stored type: pictures take a quarter of the memory.

    Attributes:
        x: stored inputs [n, d], uint8, float32 or CSR float32.
        y: labels [n], int32.
        scaling: of the stored inputs.
    """

    x: Features
    y: np.ndarray
    scaling: Scaling

    def inputs(self, rows: np.ndarray) -> np.ndarray:
        """Dense scaled inputs [len(rows), d] (float32) of some rows."""
        picked = self.x[rows]
        return self.scaling(picked.toarray() if sparse.issparse(picked) else picked)


class Splits(NamedTuple):
    """The splits of a run."""

    train: Split
    validation: Split
    test: Split
    classes: int
    sha256: str


def prepare(dataset: Dataset, settings: Settings) -> Splits:
    """Split the training data, and scale all inputs by the settings.

    Args:
        dataset: the prepared data set.
        settings: of the run.

    Raises:
        UserError: the data cannot be scaled or split in this way.
    """
    if "test_split" in settings.varies:
        dataset = _with_another_test_split(dataset, settings.seed)
    if settings.train_examples is not None:
        dataset = _with_fewer_examples(dataset, settings)
    train, validation = _split_rows(dataset, settings)
    test = _test_rows(dataset, settings)
    x, x_test = _flat(dataset.x_train), _flat(dataset.x_test)
    scaling = _scaling(settings.inputs, dataset, x[train])
    return Splits(
        train=Split(x[train], dataset.y_train[train], scaling),
        validation=Split(x[validation], dataset.y_train[validation], scaling),
        test=Split(x_test[test], dataset.y_test[test], scaling),
        classes=dataset.classes,
        sha256=dataset.sha256,
    )


def seed_of_splits(settings: Settings) -> int | None:
    """The seed on which a run's splits depend; None if the runs of all seeds share them."""
    return settings.seed if {"split", "test_split"} & set(settings.varies) else None


def without_test(splits: Splits) -> Splits:
    """The same splits with an empty test split, so that no choice can depend on it."""
    test = splits.test
    return splits._replace(test=test._replace(x=test.x[:0], y=test.y[:0]))


def _with_another_test_split(dataset: Dataset, seed: int) -> Dataset:
    """The same examples with another stratified test split of the same size."""
    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    train, test = split_rows(y, len(dataset.y_test), seed)
    return dataset._replace(x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])


def _with_fewer_examples(dataset: Dataset, settings: Settings) -> Dataset:
    """The same data set with a stratified subset of its training split, alike for all runs.

    Raises:
        UserError: there are fewer than the config asks for, or it asks for too few of a class.
    """
    there, wanted = len(dataset.y_train), settings.train_examples
    where = f"{dataset.name}: train_examples {wanted}"
    if wanted > there:
        raise UserError(f"{where} is more than its {there} training examples; take fewer")
    rows = subset_rows(dataset.y_train, wanted, settings.validation_seed)
    x, y, before = dataset.x_train[rows], dataset.y_train[rows], np.bincount(dataset.y_train)
    if (np.bincount(y, minlength=len(before))[before > 0] < 2).any():
        raise UserError(f"{where} leaves fewer than 2 of some class, one for validation; take more")
    return dataset._replace(x_train=x, y_train=y)


def _test_rows(dataset: Dataset, settings: Settings) -> np.ndarray:
    """Row numbers, in rising order, of the test examples that are used.

    Raises:
        UserError: there are fewer than the config asks for.
    """
    there, wanted = len(dataset.y_test), settings.test_examples
    if wanted is None:
        return np.arange(there)
    if wanted > there:
        raise UserError(
            f"{dataset.name}: test_examples {wanted} is more than its {there} test examples; "
            "take fewer"
        )
    rng = np.random.default_rng(settings.validation_seed)
    return np.sort(rng.choice(there, size=wanted, replace=False))


def _split_rows(dataset: Dataset, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers, in rising order, of the training and validation examples, stratified."""
    varies = "split" in settings.varies
    try:
        train, validation = split_rows(
            dataset.y_train,
            settings.validation_fraction,
            settings.seed if varies else settings.validation_seed,
        )
    except ValueError as error:
        raise UserError(
            f"{dataset.name}: validation_fraction {settings.validation_fraction} leaves no "
            f"example of some class ({error}); choose a larger one"
        ) from error
    return np.sort(train), np.sort(validation)


def _scaling(inputs: str, dataset: Dataset, train: Features) -> Scaling:
    """The scaling of the config's `inputs`, from the training rows alone."""
    if sparse.issparse(train) and inputs != "raw":
        raise UserError(
            f"{dataset.name}: inputs {inputs!r} would make the sparse features dense; "
            "write `inputs: raw` (they are scaled already)"
        )
    if inputs == "raw":
        return Scaling(np.float32(0), np.float32(1))
    if inputs == "unit":
        if dataset.maximum is None:
            raise UserError(
                f"{dataset.name}: inputs 'unit' divides by the largest pixel value, which only "
                "pictures have; write `inputs: raw` or `inputs: standardized`"
            )
        return Scaling(np.float32(0), np.float32(dataset.maximum))
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1
    return Scaling(mean.astype(np.float32), deviation.astype(np.float32))


def _flat(x: Features) -> Features:
    """The inputs as rows [n, d]."""
    return x if sparse.issparse(x) else x.reshape(len(x), -1)
