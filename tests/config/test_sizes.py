"""The sizes of data sets that the config is checked against, and the checks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatreg import config
from flatreg.config.registries import SOURCES
from flatreg.config.sizes import sizes_of
from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.data.sources import reader
from flatreg.data.standard_split import stratified
from flatreg.errors import UserError
from tests.config.small import CELL, ROOT, changed, load, message
from tests.configs import SETTINGS


@pytest.mark.parametrize("source", ["breast_cancer", "digits"])
def test_the_sizes_are_those_of_the_data(source: str) -> None:
    made = reader(source)({"test_fraction": 0.2, "split_seed": 0})
    labels = np.concatenate([made.labels["train"], made.labels["test"]])
    assert SOURCES[source]["CLASS_SIZES"] == {"all": Counter(np.bincount(labels).tolist())}


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "digits"])
def test_the_sizes_are_those_of_the_reference(source: str) -> None:
    path = ROOT / f"results/reference/data/{source}.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))["splits"]
    counts = {split: list(parts["class_counts"].values()) for split, parts in manifest.items()}
    known = SOURCES[source]["CLASS_SIZES"]
    if "all" in known:
        counts = {"all": [sum(parts) for parts in zip(*counts.values(), strict=True)]}
    assert known == {split: Counter(of_split) for split, of_split in counts.items()}


def study_of(source: str, fraction: float, **training: Any) -> dict[str, Any]:
    """What `sizes_of` reads of a completed config."""
    given = {"source": source, "train_examples": None, "test_examples": None, **training}
    return {"data": {source: {"test_fraction": fraction, "split_seed": 0}}, "training": given}


FRACTIONS = st.one_of(st.floats(1e-9, 0.02), st.floats(0.98, 1 - 1e-9), st.floats(1e-9, 1 - 1e-9))


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(source=st.sampled_from(["breast_cancer", "digits"]), tested=FRACTIONS, held=FRACTIONS)
def test_a_split_is_refused_where_it_cannot_be_made(source: str, tested: float, held: float):
    """Where it is made, it has as many examples. A tie may be refused although it would do."""
    sizes = SOURCES[source]["CLASS_SIZES"]["all"]
    y = np.repeat(np.arange(sum(sizes.values())), [n for n, k in sizes.items() for _ in range(k)])
    study = study_of(source, tested, validation_fraction=held)
    try:
        known = sizes_of(study, study["training"])
    except UserError:
        return
    parts = stratified(np.zeros((len(y), 1)), y, study["data"][source])
    (x_train, y_train), (x_test, y_test) = parts["train"], parts["test"]
    data = Dataset(source, len(sizes), x_train, y_train, x_test, y_test, None, "")
    made = splits.prepare(data, replace(SETTINGS, inputs="raw", validation_fraction=held))
    assert (len(made.train.y), len(np.unique(y))) == known


def test_common_fractions_are_taken() -> None:
    for source in ("breast_cancer", "digits"):
        for fraction in (0.01, 0.02, 0.1, 0.25, 0.5, 0.8, 0.95):
            study = study_of(source, fraction, validation_fraction=0.25)
            if round(fraction * 569) > 12:
                assert sizes_of(study, study["training"]) is not None


POSTS = "protocols.stated.datasets.posts"


@pytest.mark.parametrize(
    ("where", "value", "line"),
    [
        (f"{CELL}.batch", 410, ".batch: 410 is more than the 409 training examples; choose a"),
        (f"{CELL}.validation_fraction", 1e-9, "1e-09 of 455 examples leaves 1 for validation"),
        (f"{CELL}.epochs", 2147483647, ".epochs: 2147483647 of 12 steps are more than 100000000"),
        (f"{CELL}.test_examples", 115, "breast_cancer has 114 test examples, not 115; take fewer"),
        (f"{CELL}.train_examples", 456, "has 455 training examples, not 456; take fewer"),
        (f"{CELL}.train_examples", 3, "3 of 455 examples leave fewer than 2 of a class, one for"),
        (f"{CELL}.inputs", "unit", "which only pictures have; write `raw` or `standardized`"),
        (f"{POSTS}.model.outputs", 19, "19 logits are too few for 20 classes; write 1, or 20"),
        (
            "data.digits.test_fraction",
            0.995,
            "data.digits.test_fraction: 0.995 of 1797 examples leaves 8 for training, fewer than",
        ),
        (
            "data.digits.test_fraction",
            0.99,
            "of training examples, of which a class has a single one; choose a smaller test_frac",
        ),
    ],
)
def test_a_size_that_does_not_fit_is_one_line(where: str, value: Any, line: str) -> None:
    assert line in message(changed(where, value))


def test_what_just_fits_is_taken() -> None:
    given = changed(f"{CELL}.batch", 409)
    given = changed(f"{CELL}.test_examples", 114, given)
    given = changed(f"{CELL}.model.outputs", 2, given)
    given = changed(f"{POSTS}.model.outputs", 1, given)
    assert config.runs(load(given))
