"""Breast Cancer Wisconsin (Diagnostic), which ships inside scikit-learn.

References:
    W. N. Street, W. H. Wolberg, O. L. Mangasarian. Nuclear feature extraction for breast tumor
    diagnosis. 1993. doi:10.1117/12.148698.
"""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer

from flatreg.config import DataSettings
from flatreg.data.prepared import About, Prepared, of_table
from flatreg.data.standard_split import stratified

# Only texts have readings.
READINGS = ()
# The config sets one.
STANDARD_SPLIT = False
# How many classes have so many examples, and the largest value of a pixel: the config is checked
# against them before anything is read.
CLASS_SIZES = {"all": {212: 1, 357: 1}}
MAXIMUM = None


def cache() -> None:
    """There is none."""


def read(settings: DataSettings) -> Prepared:
    """569 examples of 30 features (float32); label 1 is benign.

    Args:
        settings: `test_fraction` and `split_seed`.
    """
    x, y = load_breast_cancer(return_X_y=True)
    about = About(
        name="breast_cancer",
        title="Breast Cancer Wisconsin (Diagnostic)",
        version=f"scikit-learn {sklearn.__version__}",
        url="doi:10.24432/C5DW2B",
        licence="CC BY 4.0",
        citation="Street, Wolberg, Mangasarian 1993, doi:10.1117/12.148698",
        class_names=("malignant", "benign"),
        maximum=MAXIMUM,
    )
    return of_table(about, stratified(x.astype(np.float32), y, settings))
