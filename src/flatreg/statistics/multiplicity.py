"""Correction for multiple tests.

References:
    S. Holm. A simple sequentially rejective multiple test procedure. 1979.
"""

from __future__ import annotations

import numpy as np
from statsmodels.stats.multitest import multipletests

from flatreg.statistics.samples import NAN


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p values [k]; a NaN stays NaN and does not count as a test."""
    adjusted = np.full(len(p_values), NAN)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = multipletests(p_values[known], method="holm")[1]
    return adjusted
