"""Load a prepared data set, for trainings and measurements."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from flatreg.data.csr import read_csr
from flatreg.data.prepared import read_arrays
from flatreg.errors import UserError


class Dataset(NamedTuple):
    """A data set ready to be split and scaled.

    Attributes:
        name: of the source.
        classes: number of classes.
        x_train: uint8 pictures [n, ...], float32 tables [n, d] or CSR float32 TF-IDF [n, d].
        y_train: int32 labels [n].
        x_test: as `x_train`.
        y_test: as `y_train`.
        maximum: largest value that a pixel can have, None for data that are not pictures.
        sha256: of all examples, with their labels.
    """

    name: str
    classes: int
    x_train: np.ndarray | sparse.csr_array
    y_train: np.ndarray
    x_test: np.ndarray | sparse.csr_array
    y_test: np.ndarray
    maximum: float | None
    sha256: str


def load_dataset(path: Path) -> Dataset:
    """Load a prepared table or set of pictures, or the TF-IDF features of a text.

    Raises:
        UserError: the file is missing or broken, or has the word counts of a text.
    """
    arrays = read_arrays(path)
    if "x_train" in arrays:
        x_train, x_test = arrays["x_train"], arrays["x_test"]
    elif "tfidf_train_data" in arrays:
        x_train, x_test = read_csr(arrays, "tfidf_train"), read_csr(arrays, "tfidf_test")
    else:
        raise UserError(f"{path} holds word counts; name a file that flatreg.data.featurize wrote")
    maximum = float(arrays["maximum"])
    return Dataset(
        name=str(arrays["name"]),
        classes=int(arrays["classes"]),
        x_train=x_train,
        y_train=arrays["y_train"],
        x_test=x_test,
        y_test=arrays["y_test"],
        maximum=None if np.isnan(maximum) else maximum,
        sha256=str(arrays["sha256"]),
    )
