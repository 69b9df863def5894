"""A fixed test split for sources without one."""

from __future__ import annotations

import numpy as np

from flatreg.config import DataSettings
from flatreg.data.stratified import split_rows
from flatreg.errors import UserError


def stratified(
    x: np.ndarray, y: np.ndarray, settings: DataSettings
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Stratified examples and labels of "train" and "test".

    Args:
        x: [n, ...]
        y: [n]
        settings: `test_fraction` in (0, 1) and `split_seed`.

    Raises:
        UserError: one of the two would lack a class.
    """
    fraction = settings["test_fraction"]
    try:
        train, test = split_rows(y, fraction, settings["split_seed"])
    except ValueError as error:
        raise UserError(
            f"test_fraction {fraction} leaves no example of some class ({error}); choose another"
        ) from error
    return {"train": (x[train], y[train]), "test": (x[test], y[test])}
