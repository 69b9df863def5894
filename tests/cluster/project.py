"""Copies of the project that the cluster's user owns, and runs Snakemake in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.loopback import Cluster, own
from tests.copies import WORKFLOW, copy_parts

# A job's state is asked for as often as that (s), not once in 40 s as on a cluster that many use.
OFTEN = "2"
PROFILES = {
    "slurm": [
        *["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", OFTEN],
        # This cluster has no accounting.
        *["--slurm-status-command", "squeue"],
    ],
    "cluster-generic": [
        *["--profile", "profiles/cluster-generic", "--seconds-between-status-checks", OFTEN],
    ],
}


class Project:
    """A copy of the project, and the cluster that its user works on."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster

    def configure(self, study: dict[str, Any]) -> None:
        """Write a study, to be laid over the demo's."""
        (self.folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")

    def start(self, profile: str, *options: str) -> subprocess.Popen[str]:
        """Start snakemake with a profile, as the cluster's user."""
        python = Path(sys.executable)
        environment = self.cluster.environment(PYTHONPATH=str(self.folder / "src"))
        environment["PATH"] = f"{python.parent}:{environment['PATH']}"
        command = [str(python), "-m", "snakemake", *PROFILES.get(profile, ["--cores", "2"])]
        overlays = [name for name in ("study.yaml",) if (self.folder / name).exists()]
        return subprocess.Popen(
            self.cluster.command(
                *[*command, "--latency-wait", "20", *options],
                *["--configfile", "profiles/demo/study.yaml", *overlays],
            ),
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )


def copy_project(folder: Path, cluster: Cluster) -> Project:
    """Copy the project for the cluster's user."""
    copy_parts(folder, WORKFLOW, "generated", "main.pdf*")
    own(folder)
    return Project(folder, cluster)
