"""Small data sets, without the pipeline, and trainers on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from flatreg.config import Settings
from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.train import loop
from flatreg.train.program import make_program


def digits() -> Dataset:
    x, y = load_digits(return_X_y=True)
    return table("digits", x.astype(np.uint8), y, 10, 16.0)


def breast_cancer() -> Dataset:
    x, y = load_breast_cancer(return_X_y=True)
    return table("breast_cancer", x.astype(np.float32), y, 2, None)


def texts() -> Dataset:
    """600 sparse texts of four classes; a class uses a quarter of the 400 words more often."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 600)
    often = 0.01 + 0.05 * (np.arange(400)[None] % 4 == y[:, None])
    x = (rng.random((600, 400)) < often) * rng.uniform(0.2, 1, (600, 400))
    return table("texts", sparse.csr_array(x.astype(np.float32)), y, 4, None)


def table(name: str, x: Any, y: Any, classes: int, maximum: float | None) -> Dataset:
    x_train, x_test, y_train, y_test = train_test_split(x, y.astype(np.int32), random_state=0)
    return Dataset(
        name=name,
        classes=classes,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        maximum=maximum,
        sha256="0" * 64,
    )


def trainer_of(dataset: Dataset, settings: Settings) -> loop.Trainer:
    """A trainer with a program and data of its own."""
    (trainer,) = trainers_of(dataset, [settings])
    return trainer


def trainers_of(dataset: Dataset, several: list[Settings]) -> list[loop.Trainer]:
    """Trainers that share a program, and data where their splits are the same."""
    data = splits.prepare(dataset, several[0])
    program = make_program(several[0], data, penalized=float(several[0].lam) > 0)
    placed: dict[int | None, loop.Placed] = {}
    for settings in several:
        seed = splits.seed_of_splits(settings)
        if seed not in placed:
            placed[seed] = loop.place(program, splits.prepare(dataset, settings))
    return [
        loop.make_trainer(program, placed[splits.seed_of_splits(settings)], settings)
        for settings in several
    ]
