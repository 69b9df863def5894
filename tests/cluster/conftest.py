"""The loopback cluster, and copies of the project to run on it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.loopback import Cluster, missing, user_name
from tests.cluster.project import Project, copy_project


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder that the cluster's user can reach, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="flatreg-cluster-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def cluster(ground: Path) -> Iterator[Cluster]:
    """A cluster of two nodes; all that runs on it ends with the tests."""
    if lacking := missing():
        pytest.fail(f"{' and '.join(lacking)} are missing; `make cluster-test` installs them")
    cluster = Cluster(ground / "slurm")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def copy(cluster: Cluster, ground: Path) -> Callable[..., Project]:
    """A function that copies the project for the cluster's user, and results if they are named."""
    numbers = itertools.count()
    return lambda *results: copy_project(ground / f"project-{next(numbers)}", cluster, *results)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> str | None:
    """What `--draw` was given: the tests then make less of each study."""
    return request.config.getoption("--draw")


def pytest_report_header() -> str:
    """Who the cluster's user is."""
    return f"cluster: as {user_name()}"
