"""Runs longer than a job's time limit: they resume, and end with the same bytes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.cluster.progress import (
    EVERY,
    RUNS,
    assert_resumed,
    assert_same,
    epochs_done,
    finish,
    study,
    wait_for_training,
)
from tests.cluster.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Epochs of a run that is still training when Slurm enforces its time limit.
LONG = 5000
LONG_RUN = RUNS / "lambda-0.1/seed-0/curvature.json"


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


def begin_long(project: Project, *options: str) -> subprocess.Popen[str]:
    """Start the long run through Slurm."""
    project.configure(study(LONG, seeds=1))
    return project.start("slurm", *options, str(LONG_RUN))


def shorten_time_limit(
    project: Project, process: subprocess.Popen[str]
) -> tuple[str, dict[Path, int]]:
    """Leave a training job 30 to 90 s; return its id and the epochs done so far.

    Slurm counts limits in whole minutes from the start of the job, and looks at them every 30 s.
    """
    job = wait_for_training(project, process)
    before = epochs_done(project)
    shown = project.cluster.run("scontrol", "show", "job", job)
    hours, minutes, seconds = map(int, re.search(r"RunTime=(\d+):(\d+):(\d+)", shown).groups())
    limit = 60 * hours + minutes + (1 if seconds <= 30 else 2)
    project.cluster.run("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")
    return job, before


def test_jobs_run_out_of_time(
    copy: Callable[[], Project], undisturbed_long: Callable[[], Project], emptied_queue: None
) -> None:
    """A job that is signalled 90 s ahead, as the profile asks, stops itself; another is killed.

    With at most 90 s left, the first job is signalled at once.
    """
    told, untold = copy(), copy()
    # --default-resources takes all words up to the next option, so it replaces the profile's.
    without_a_word = ["--default-resources", "slurm_partition=main", "--retries", "2"]
    telling, ending = begin_long(told), begin_long(untold, *without_a_word)
    told_job, told_before = shorten_time_limit(told, telling)
    untold_job, untold_before = shorten_time_limit(untold, ending)
    for process in (telling, ending):
        assert "Trying to restart job" in finish(process)
    assert "TIMEOUT" not in told.cluster.run("scontrol", "show", "job", told_job)
    assert "TIMEOUT" in untold.cluster.run("scontrol", "show", "job", untold_job)
    assert_same(told, undisturbed_long())
    assert_same(untold, undisturbed_long())
    assert_resumed(told, told_before, lost=0)
    assert_resumed(untold, untold_before, lost=EVERY)
