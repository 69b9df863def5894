"""The loopback cluster, and copies of the project to run on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.loopback import Cluster, missing
from tests.cluster.project import Project, copy_project


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two nodes; all that runs on it ends with the tests."""
    if lacking := missing():
        pytest.fail(f"{' and '.join(lacking)} are missing; `make cluster-test` installs them")
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "slurm")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def copy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """A function that copies the project for the cluster's user."""
    return lambda: copy_project(tmp_path_factory.mktemp("project") / "flatreg", cluster)


def pytest_report_header() -> str:
    """Who the cluster's user is."""
    return f"cluster: as {'nobody' if os.geteuid() == 0 else 'this user'}"
