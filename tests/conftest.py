"""What every test may rely on: the repository's folder and the data caches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CACHES = ROOT.parent / "shared" / "data"
CACHE_VARIABLES = {"TFDS_DATA_DIR": "tfds", "SCIKIT_LEARN_DATA": "scikit_learn"}


def pytest_configure() -> None:
    """Point the data libraries at a copy of the data beside the repository, where there is one.

    What the user has set is left alone, but made absolute, as tests change folders.
    """
    for variable, folder in CACHE_VARIABLES.items():
        if os.environ.get(variable):
            os.environ[variable] = str(Path(os.environ[variable]).resolve())
        elif (CACHES / folder).is_dir():
            os.environ[variable] = str(CACHES / folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what reads the large data sets where neither the user nor the machine has them."""
    missing = [variable for variable in CACHE_VARIABLES if not os.environ.get(variable)]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"large data sets: set {' and '.join(missing)} to their caches")
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's folder."""
    return ROOT
