"""Splits and scaling of inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.errors import UserError
from tests.configs import SETTINGS

RNG = np.random.default_rng(0)
PICTURES = Dataset(
    name="pictures",
    classes=3,
    x_train=RNG.integers(0, 256, (60, 4, 4, 3)).astype(np.uint8),
    y_train=np.repeat([0, 1, 2], 20).astype(np.int32),
    x_test=RNG.integers(0, 256, (9, 4, 4, 3)).astype(np.uint8),
    y_test=np.repeat([0, 1, 2], 3).astype(np.int32),
    maximum=255.0,
    sha256="0" * 64,
)
TEXTS = PICTURES._replace(
    name="texts",
    x_train=sparse.random_array((60, 50), density=0.1, rng=RNG, dtype=np.float32).tocsr(),
    x_test=sparse.random_array((9, 50), density=0.1, rng=RNG, dtype=np.float32).tocsr(),
    maximum=None,
)


def prepare(dataset: Dataset, inputs: str, **changes: Any) -> splits.Splits:
    fixed = {
        "inputs": inputs,
        "validation_fraction": 0.2,
        "validation_seed": 0,
        "train_examples": None,
        "test_examples": None,
        "varies": ("initialization",),
        "seed": 1,
    }
    return splits.prepare(dataset, replace(SETTINGS, **(fixed | changes)))


def inputs(split: splits.Split) -> np.ndarray:
    return split.inputs(np.arange(len(split.y)))


def test_validation_comes_out_of_the_training_split_stratified() -> None:
    done = prepare(PICTURES, "raw")
    assert done.train.x.shape == (48, 48)
    assert np.bincount(done.validation.y).tolist() == [4, 4, 4]
    rows = {r.tobytes() for split in (done.train, done.validation) for r in inputs(split)}
    assert rows == {r.tobytes() for r in PICTURES.x_train.reshape(60, -1).astype(np.float32)}
    assert np.array_equal(inputs(done.test), PICTURES.x_test.reshape(9, -1))


def test_pictures_stay_bytes() -> None:
    assert prepare(PICTURES, "standardized").train.x.dtype == np.uint8


def test_unit_divides_by_the_largest_pixel_value() -> None:
    raw, unit = prepare(PICTURES, "raw"), prepare(PICTURES, "unit")
    np.testing.assert_allclose(inputs(unit.test), inputs(raw.test) / 255, rtol=1e-6)
    assert inputs(unit.test).dtype == np.float32


def test_standardization_knows_the_training_part_alone() -> None:
    raw, done = prepare(PICTURES, "raw"), prepare(PICTURES, "standardized")
    scaler = StandardScaler().fit(inputs(raw.train))
    for split in ("validation", "test"):
        expected = scaler.transform(inputs(getattr(raw, split)))
        np.testing.assert_allclose(inputs(getattr(done, split)), expected, atol=1e-5)


def test_a_constant_feature_stays_finite() -> None:
    pictures = PICTURES._replace(x_train=np.full_like(PICTURES.x_train, 7))
    assert np.all(inputs(prepare(pictures, "standardized").train) == 0)


def test_sparse_inputs_stay_sparse_and_rows_come_out_dense() -> None:
    done = prepare(TEXTS, "raw")
    assert sparse.issparse(done.train.x)
    np.testing.assert_array_equal(
        done.test.inputs(np.array([2, 0])), TEXTS.x_test.toarray()[[2, 0]]
    )


def test_without_test_leaves_no_test_example() -> None:
    done = splits.without_test(prepare(TEXTS, "raw"))
    assert done.test.x.shape == (0, 50)
    assert len(done.test.y) == 0


@pytest.mark.parametrize(
    ("dataset", "inputs", "fraction", "message"),
    [
        (TEXTS, "standardized", 0.2, "texts: inputs 'standardized' would make the sparse"),
        (PICTURES._replace(maximum=None), "unit", 0.2, "'unit' divides by the largest pixel"),
        (PICTURES, "raw", 0.01, "validation_fraction 0.01 leaves no example of some class"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    dataset: Dataset, inputs: str, fraction: float, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepare(dataset, inputs, validation_fraction=fraction)
    assert "\n" not in str(caught.value)


def rows(split: splits.Split) -> set[bytes]:
    return {row.tobytes() for row in inputs(split)}


def test_fewer_test_examples_are_the_same_for_every_seed() -> None:
    few = [prepare(PICTURES, "raw", test_examples=4, seed=seed).test for seed in (1, 2)]
    assert len(few[0].y) == 4
    assert np.array_equal(inputs(few[0]), inputs(few[1]))
    assert rows(few[0]) < rows(prepare(PICTURES, "raw").test)
    with pytest.raises(UserError, match="test_examples 10 is more than its 9 test examples"):
        prepare(PICTURES, "raw", test_examples=10)


def test_fewer_training_examples_are_stratified_and_the_same_for_every_seed() -> None:
    few = [
        prepare(PICTURES, "raw", train_examples=30, seed=seed, varies=("split",)) for seed in (1, 2)
    ]
    for done in few:
        assert np.bincount(done.train.y).tolist() == [8, 8, 8]
        assert np.bincount(done.validation.y).tolist() == [2, 2, 2]
    used = [rows(done.train) | rows(done.validation) for done in few]
    whole = prepare(PICTURES, "raw", train_examples=60)
    assert used[0] == used[1] < rows(whole.train) | rows(whole.validation)
    assert rows(few[0].validation) != rows(few[1].validation)
    assert rows(whole.train) == rows(prepare(PICTURES, "raw").train)


@pytest.mark.parametrize(
    ("examples", "line"),
    [
        (61, "train_examples 61 is more than its 60 training examples; take fewer"),
        (5, "train_examples 5 leaves fewer than 2 of some class, one for validation; take more"),
        (2, "train_examples 2 leaves fewer than 2 of some class"),
    ],
)
def test_training_examples_that_cannot_be_had_are_one_line(examples: int, line: str) -> None:
    with pytest.raises(UserError, match=line):
        prepare(PICTURES, "raw", train_examples=examples)


def test_a_split_that_varies_moves_validation_examples_alone() -> None:
    fixed = [prepare(PICTURES, "raw", seed=seed) for seed in (1, 2)]
    assert rows(fixed[0].validation) == rows(fixed[1].validation)
    one, two = (prepare(PICTURES, "raw", seed=seed, varies=("split",)) for seed in (1, 2))
    assert rows(one.validation) != rows(two.validation)
    assert rows(one.train) | rows(one.validation) == rows(two.train) | rows(two.validation)
    assert rows(one.test) == rows(two.test) == rows(fixed[0].test)


def test_a_test_split_that_varies_is_drawn_from_all_examples_stratified() -> None:
    one, two = (prepare(PICTURES, "raw", seed=seed, varies=("test_split",)) for seed in (1, 2))
    assert rows(one.test) != rows(two.test)
    assert np.bincount(one.test.y).tolist() == [3, 3, 3]
    whole = rows(prepare(PICTURES, "raw").test) | rows(prepare(PICTURES, "raw").train)
    whole |= rows(prepare(PICTURES, "raw").validation)
    for done in (one, two):
        assert rows(done.train) | rows(done.validation) | rows(done.test) == whole
        assert not rows(done.test) & (rows(done.train) | rows(done.validation))
