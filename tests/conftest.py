"""Shared by all tests: the repository's folder, data caches, and the option --draw."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatreg import surroundings

ROOT = Path(__file__).resolve().parent.parent
CACHES = ROOT.parent / "shared" / "data"
CACHE_VARIABLES = {"TFDS_DATA_DIR": "tfds", "SCIKIT_LEARN_DATA": "scikit_learn"}


def pytest_configure() -> None:
    """Hold the environment, and point the data libraries at a copy of the data, if there is one.

    The copy lies beside the repository. Variables that the user has set are kept but made absolute,
    because tests change folders.
    """
    hold_environment()
    for variable, folder in CACHE_VARIABLES.items():
        if os.environ.get(variable):
            os.environ[variable] = str(Path(os.environ[variable]).resolve())
        elif (CACHES / folder).is_dir():
            os.environ[variable] = str(CACHES / folder)


def hold_environment() -> None:
    """Leave out what the commands that tests start would leave out, and name."""
    held = surroundings.held(os.environ)
    os.environ.clear()
    os.environ.update(held)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Hold the environment again after a test: training in this process sets variables of XLA."""
    result = yield
    hold_environment()
    return result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option that runs each test function once, with parameters drawn by a seed."""
    parser.addoption(
        "--draw", metavar="SEED", help="run each test function once, with parameters drawn by SEED"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Report the seed, which reproduces the draw."""
    seed = config.getoption("--draw")
    return seed and f"drawn by --draw {seed}: one injection of each kind"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Apply --draw, and skip tests whose data are missing."""
    if seed := config.getoption("--draw"):
        drawn = draw(items, seed)
        config.hook.pytest_deselected(items=[item for item in items if item not in drawn])
        items[:] = drawn
    skip_without_data(items)


def draw(items: list[pytest.Item], seed: str) -> list[pytest.Item]:
    """One item per test function; the draw of a function does not depend on other functions."""
    by_function: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_function.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return [random.Random(f"{seed} {name}").choice(some) for name, some in by_function.items()]


def skip_without_data(items: list[pytest.Item]) -> None:
    """Skip tests of large data sets if no cache of these is configured."""
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


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """Compile without optimization, for tests whose programs run a few times."""
    import jax  # here, because most tests need none of it

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
