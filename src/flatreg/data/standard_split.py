"""A fixed test split for sources without one."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from flatreg.config import DataSettings


def stratified(
    x: np.ndarray, y: np.ndarray, settings: DataSettings
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Stratified examples and labels of "train" and "test".

    Args:
        x: [n, ...]
        y: [n]
        settings: `test_fraction` in (0, 1) and `split_seed`.
    """
    x_train, x_test, y_train, y_test = train_test_split(
        x,
        y,
        test_size=settings["test_fraction"],
        random_state=settings["split_seed"],
        stratify=y,
    )
    return {"train": (x_train, y_train), "test": (x_test, y_test)}
