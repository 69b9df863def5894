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
    """A folder that the cluster's user can access, unlike pytest's temporary folders."""
    with tempfile.TemporaryDirectory(prefix="flatreg-cluster-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def cluster(ground: Path) -> Iterator[Cluster]:
    """A cluster of two nodes, stopped with all its jobs after the tests."""
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
    """A function that copies the project, with any named results, for the cluster's user."""
    numbers = itertools.count()
    return lambda *results: copy_project(ground / f"project-{next(numbers)}", cluster, *results)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> str | None:
    """The value of --draw; if it is set, the tests run smaller studies."""
    return request.config.getoption("--draw")


def pytest_report_header() -> str:
    """Report the name of the cluster's user."""
    return f"cluster: as {user_name()}"
