"""Faults on a cluster: the study still finishes, with the same bytes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.cluster.loopback import Cluster, wait
from tests.cluster.progress import (
    EVERY,
    assert_resumed,
    assert_same,
    epochs_done,
    finish,
    resumed,
    study,
    wait_for_training,
)
from tests.cluster.project import METRICS, Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def small_study(seed: str | None) -> dict:
    """Two seeds at two lambdas; only one seed with --draw."""
    return study(epochs=400, seeds=1 if seed else 2)


@pytest.fixture(scope="module")
def undisturbed(copy: Callable[[], Project], small_study: dict) -> Project:
    """The study run without Slurm."""
    project = copy()
    project.configure(small_study)
    finish(project.start("local", str(METRICS)))
    return project


@pytest.fixture
def project(copy: Callable[[], Project], small_study: dict, emptied_queue: None) -> Project:
    project = copy()
    project.configure(small_study)
    return project


def test_a_job_is_cancelled(project: Project, undisturbed: Project) -> None:
    process = project.start("cluster-generic", str(METRICS))
    job = wait_for_training(project, process)
    before = epochs_done(project)
    project.cluster.run("scancel", job)
    output = finish(process)
    assert "Trying to restart job" in output
    assert_same(project, undisturbed)
    assert_resumed(project, before, lost=0)


def test_a_job_takes_more_memory_than_it_may(project: Project, undisturbed: Project) -> None:
    """The job is killed, and its next attempt has more memory."""
    process = project.start(
        *["cluster-generic", "--cores", "1", "--set-resources", "train_model:mem_mb=attempt*400"],
        *["measure_curvature:mem_mb=attempt*400", "--retries", "3", str(METRICS)],
    )
    output = finish(process)
    assert "Trying to restart job" in output
    assert_same(project, undisturbed)


def test_a_node_goes_down_and_comes_back(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    process = project.start("cluster-generic", str(METRICS))
    job = wait_for_training(project, process)
    node = cluster.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    before = epochs_done(project)
    cluster.crash_node(node)
    wait(lambda: cluster.states()[node].startswith("down"), f"{node} is down")
    finish(process)
    cluster.start_node(node)
    wait(lambda: cluster.states()[node] == "idle", f"{node} is back")
    assert_same(project, undisturbed)
    assert_resumed(project, before, lost=EVERY)
    assert all(epoch >= 20 - EVERY for epoch in resumed(project).values())


def test_the_controller_is_restarted(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    process = project.start("cluster-generic", str(METRICS))
    wait_for_training(project, process)
    cluster.stop_controller()
    time.sleep(8)
    cluster.start_controller()
    finish(process)
    assert_same(project, undisturbed)
    assert resumed(project) == {}, "jobs go on without the controller"


def test_snakemake_is_killed_while_its_jobs_run(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    """The next Snakemake waits for running jobs, uses their outputs, and refuses pending jobs."""
    ungrouped = ["--group-components", "runs=1", "--retries", "2"]
    process = project.start("cluster-generic", "--cores", "1", *ungrouped, str(METRICS))
    wait_for_training(project, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert cluster.jobs("--states=running")
    output = finish(project.start("cluster-generic", "--cores", "1", str(METRICS)))
    assert "waiting for jobs of an earlier snakemake" in output
    assert_same(project, undisturbed)
    assert resumed(project) == {}
    wait(lambda: not cluster.jobs(), "no job is left", 30)
