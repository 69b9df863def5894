"""Faults on a cluster: the study still finishes, with the same bytes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.cluster.loopback import Cluster, wait
from tests.cluster.project import METRICS, RESULTS, Project, digits_alone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RUNS = RESULTS / "runs/stated/digits"
FILES = ("metrics.json", "epochs.csv", "params.npz", "last.npz", "curvature.json")
EVERY = 10


# Epochs of a run that is still training when Slurm enforces a time limit of one minute.
LONG = 5000
PENALIZED = "lambda-0.1"
LONG_RUN = RUNS / PENALIZED / "seed-0/curvature.json"


def study(epochs: int, seeds: int) -> dict:
    """A small study of real data that trains long enough to inject a fault."""
    return digits_alone(epochs, seeds) | {"checkpoint": {"every_epochs": EVERY, "every_seconds": 0}}


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


@pytest.fixture(scope="module")
def undisturbed_long(copy: Callable[[], Project]) -> Callable[[], Project]:
    """Start the long run without Slurm; return a function that waits for it."""
    project = copy()
    project.configure(study(LONG, seeds=1))
    process = project.start("local", str(LONG_RUN))

    @cache
    def finished() -> Project:
        finish(process)
        return project

    return finished


@pytest.fixture
def project(copy: Callable[[], Project], cluster: Cluster, small_study: dict) -> Iterator[Project]:
    project = copy()
    project.configure(small_study)
    yield project
    cluster.run("scancel", "--state=running", "--user", str(project.folder.stat().st_uid))
    wait(lambda: not cluster.jobs(), "the queue is empty")


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def wait_for_training(project: Project, process: subprocess.Popen[str], epochs: int = 20) -> str:
    """Wait until a penalized training has finished `epochs` epochs; return the id of its job.

    Its epochs take long enough for a fault to arrive before the last.
    """

    def far() -> bool:
        assert process.poll() is None, process.communicate()[0]
        done = epochs_done(project).items()
        return max((n for log, n in done if PENALIZED in log.parts), default=0) >= epochs

    wait(far, f"a training at epoch {epochs}", 120)
    running = project.jobs("--states=running")
    assert running
    return running[0]


def begin_long(project: Project, *options: str) -> subprocess.Popen[str]:
    """Start the long run through Slurm."""
    project.configure(study(LONG, seeds=1))
    return project.start("slurm", *options, str(LONG_RUN))


def give_a_minute(project: Project, process: subprocess.Popen[str]) -> tuple[str, dict[Path, int]]:
    """Leave a training job a minute, give or take half; return its id and the epochs done so far.

    A limit is in whole minutes, and counts from the begin of the job.
    """
    job = wait_for_training(project, process)
    before = epochs_done(project)
    said = project.cluster.run("scontrol", "show", "job", job)
    hours, minutes, seconds = map(int, re.search(r" RunTime=(\d+):(\d+):(\d+)", said).groups())
    limit = 60 * hours + minutes + (seconds + 30) // 60 + 1
    project.cluster.run("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")
    return job, before


def assert_same(project: Project, undisturbed: Project) -> None:
    """Check that the runs, and the table of runs if there is one, have the same bytes."""
    runs = [path for name in FILES for path in (undisturbed.folder / RUNS).rglob(name)]
    assert runs
    for truth in (*runs, *undisturbed.folder.glob(str(METRICS))):
        path = truth.relative_to(undisturbed.folder)
        assert (project.folder / path).read_bytes() == truth.read_bytes(), path
    assert not list((project.folder / RESULTS / "checkpoints").glob("*"))


def epochs_done(project: Project) -> dict[Path, int]:
    """The last epoch finished by each training, from its log."""
    return last_epochs(project, r"^epoch (\d+)/")


def resumed(project: Project) -> dict[Path, int]:
    """The epoch after which each training resumed, from its log."""
    return last_epochs(project, r"^going on after epoch (\d+)")


def last_epochs(project: Project, line: str) -> dict[Path, int]:
    logs = (project.folder / RESULTS / "logs/runs").rglob("metrics.log")
    found = {log: re.findall(line, log.read_text(), re.MULTILINE) for log in logs}
    return {log: int(epochs[-1]) for log, epochs in found.items() if epochs}


def assert_resumed(project: Project, before: dict[Path, int], lost: int, since: float) -> None:
    """Check that each interrupted training resumed and lost at most `lost` of its epochs `before`.

    A training was interrupted if its last attempt began after the fault, at the time `since`. If
    its log has no resume line, it started from scratch.
    """
    after = resumed(project)
    interrupted = [log for log in before if begun(log) > since]
    assert interrupted
    assert [log for log in interrupted if after.get(log, 0) < before[log] - lost] == []


def begun(log: Path) -> float:
    """When the last attempt of the training with this log began (seconds since 1970)."""
    run = str(log.parent).replace("/logs/runs/", "/runs/")
    return json.loads((Path(run) / "facts.json").read_text())["begun"]


def test_a_job_is_cancelled(project: Project, undisturbed: Project) -> None:
    process = project.start("cluster-generic", str(METRICS))
    job = wait_for_training(project, process)
    before, since = epochs_done(project), time.time()
    project.cluster.run("scancel", job)
    output = finish(process)
    assert "Trying to restart job" in output
    assert_same(project, undisturbed)
    assert_resumed(project, before, lost=0, since=since)


def test_jobs_run_out_of_time(
    project: Project, copy: Callable[[], Project], undisturbed_long: Callable[[], Project]
) -> None:
    """A job that is signalled 90 s ahead, as the profile asks, stops itself; another is killed.

    With so little time left, the first job is signalled at once.
    """
    told, untold = project, copy()
    # --default-resources takes all words up to the next option, so it replaces the profile's.
    without_a_word = ["--default-resources", "slurm_partition=main", "--retries", "2"]
    telling, ending = begin_long(told), begin_long(untold, *without_a_word)
    told_job, told_before = give_a_minute(told, telling)
    told_since = time.time()
    untold_job, untold_before = give_a_minute(untold, ending)
    untold_since = time.time()
    for process in (telling, ending):
        assert "Trying to restart job" in finish(process)
    assert "TIMEOUT" not in told.cluster.run("scontrol", "show", "job", told_job)
    assert "TIMEOUT" in untold.cluster.run("scontrol", "show", "job", untold_job)
    assert_same(told, undisturbed_long())
    assert_same(untold, undisturbed_long())
    assert_resumed(told, told_before, lost=0, since=told_since)
    assert_resumed(untold, untold_before, lost=EVERY, since=untold_since)


def test_a_job_takes_more_memory_than_it_may(project: Project, undisturbed: Project) -> None:
    """The job is killed, and its next attempt has more memory."""
    process = project.start(
        *["cluster-generic", "--cores", "1", "--set-resources", "train_model:mem_mb=attempt*400"],
        *["measure_model:mem_mb=attempt*400", "--retries", "3", str(METRICS)],
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
    before, since = epochs_done(project), time.time()
    cluster.crash_node(node)
    wait(lambda: cluster.states()[node].startswith("down"), f"{node} is down")
    finish(process)
    cluster.start_node(node)
    wait(lambda: cluster.states()[node] == "idle", f"{node} is back")
    assert_same(project, undisturbed)
    assert_resumed(project, before, lost=EVERY, since=since)
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
    alone = ["--config", "lanes=1", "--retries", "2"]
    process = project.start("cluster-generic", "--cores", "1", *alone, str(METRICS))
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
