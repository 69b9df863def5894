"""Handwritten digits of 8 x 8 pixels, which ship inside scikit-learn.

References:
    E. Alpaydin, C. Kaynak. Optical recognition of handwritten digits. 1998. doi:10.24432/C50P49.
"""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.datasets import load_digits

from flatreg.config import DataSettings
from flatreg.data.prepared import About, Prepared, of_table
from flatreg.data.standard_split import stratified

# Only texts have readings.
READINGS = ()
# The config sets one.
STANDARD_SPLIT = False
# How many classes have so many examples, and the largest value of a pixel: the config is checked
# against them before anything is read.
CLASS_SIZES = {"all": {174: 1, 177: 1, 178: 1, 179: 1, 180: 1, 181: 2, 182: 2, 183: 1}}
MAXIMUM = 16.0


def cache() -> None:
    """There is none."""


def read(settings: DataSettings) -> Prepared:
    """1,797 pictures [8, 8] of values 0 to 16 (uint8).

    Args:
        settings: `test_fraction` and `split_seed`.
    """
    digits = load_digits()
    about = About(
        name="digits",
        title="Optical recognition of handwritten digits",
        version=f"scikit-learn {sklearn.__version__}",
        url="doi:10.24432/C50P49",
        licence="CC BY 4.0",
        citation="Alpaydin, Kaynak 1998, doi:10.24432/C50P49",
        class_names=tuple(str(name) for name in digits.target_names),
        maximum=MAXIMUM,
    )
    return of_table(about, stratified(digits.images.astype(np.uint8), digits.target, settings))
