"""Small studies on a cluster: how far their runs have come, and whether they end as undisturbed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.loopback import wait
from tests.cluster.project import METRICS, RESULTS, Project, digits_alone

RUNS = RESULTS / "runs/stated/digits"
FILES = ("metrics.json", "epochs.csv", "params.npz", "curvature.json")
EVERY = 10


def study(epochs: int, seeds: int) -> dict[str, Any]:
    """A small study of real data that trains long enough to inject a fault."""
    return digits_alone(epochs, seeds) | {"checkpoint": {"every_epochs": EVERY}}


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def wait_for_training(project: Project, process: subprocess.Popen[str], epochs: int = 20) -> str:
    """Wait until a training has finished `epochs` epochs; return the id of its job."""

    def far() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return max(epochs_done(project).values(), default=0) >= epochs

    wait(far, f"a training at epoch {epochs}", 120)
    running = project.jobs("--states=running")
    assert running
    return running[0]


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


def assert_resumed(project: Project, before: dict[Path, int], lost: int) -> None:
    """Check that each training resumed and lost at most `lost` of its epochs `before`.

    A training without a resume line in its log started from scratch.
    """
    after = resumed(project)
    assert before
    assert after
    assert [log for log in before if after.get(log, 0) < before[log] - lost] == []
