"""Correction for multiple tests.

References:
    S. Holm. A simple sequentially rejective multiple test procedure. 1979.
"""

from __future__ import annotations

import numpy as np

from flatreg.statistics.samples import NAN


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p values [k]; a NaN stays NaN and does not count as a test."""
    adjusted = np.full(len(p_values), NAN)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known])]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
