"""Copies of the project in which the cluster's user runs Snakemake."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.loopback import Cluster, own
from tests.configs import whole_study
from tests.copies import GENERATED, WORKFLOW, copy_parts

RESULTS = Path("results/demo")
METRICS = RESULTS / "tables/metrics.csv"
DEMO = "profiles/demo/study.yaml"

# Results that are not computed from the tables of the runs.
INPUTS_OF_TABLES = (
    *("config.json", ".lock", ".jobs.lock", ".blocks.json"),
    *("data", "selection", "compiled", "runs", "tables", "logs", "benchmarks"),
)
# Seconds between queries of a job's state; the default of 40 s spares a shared cluster.
OFTEN = "2"
PROFILES = {
    "local": ["--cores", "2"],
    "slurm": [
        *["--workflow-profile", "profiles/slurm"],
        *["--slurm-init-seconds-before-status-checks", OFTEN],
        # Without accounting, sacct cannot report a job's state.
        *["--slurm-status-command", "squeue"],
    ],
    "cluster-generic": [
        *["--workflow-profile", "profiles/cluster-generic"],
        *["--seconds-between-status-checks", OFTEN],
        *["--cores", "2"],  # the cores of one node
    ],
}


class Project:
    """A copy of the project and the cluster on which it runs."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        self.configs = [DEMO]

    def configure(self, study: dict[str, Any]) -> None:
        """Write a config to overlay on the demo's."""
        (self.folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
        self.configs = [DEMO, "study.yaml"]

    def jobs(self, *flags: str) -> list[str]:
        """Ids of the project's jobs in the queue."""
        lines = self.cluster.run("squeue", "-h", "-o", "%i %Z", *flags).splitlines()
        jobs = (line.split(" ", 1) for line in lines)
        return [job for job, folder in jobs if Path(folder) == self.folder]

    def start(self, profile: str, *options: str) -> subprocess.Popen[str]:
        """Start Snakemake with a profile, as the cluster's user."""
        python = Path(sys.executable)
        environment = self.cluster.environment(PYTHONPATH=str(self.folder / "src"))
        environment["PATH"] = f"{python.parent}:{environment['PATH']}"
        command = [str(python), "-m", "snakemake", *PROFILES[profile]]
        return subprocess.Popen(
            self.cluster.command(
                *[*command, "--latency-wait", "20", *options, "--configfile", *self.configs]
            ),
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )


def digits_alone(epochs: int, seeds: int) -> dict[str, Any]:
    """An overlay of the demo's config for one data set at two lambdas."""
    entry = {"lambdas": ["0", "0.1"], "seeds": [*range(seeds)], "epochs": epochs}
    others = set(whole_study()["protocols"]) - {"stated"}
    stated = {"datasets": {"breast_cancer": None, "digits": entry}}
    return {
        "protocols": {"stated": stated} | dict.fromkeys(sorted(others)),
        "surface": {"protocol": "stated", "lambda": "0.1", "seed": 0},
        "claims": None,
        "sample_sizes": None,
    }


def copy_project(folder: Path, cluster: Cluster, *results: str) -> Project:
    """Copy the project, with any named results, for the cluster's user."""
    copy_parts(folder, [*WORKFLOW, *results], *GENERATED)
    own(folder)
    return Project(folder, cluster)


def take_away(folder: Path, runs: list[Path]) -> None:
    """Remove some runs of a finished demo, and all results that depend on runs.

    Data, searches, simulations and the other runs stay.

    Args:
        folder: of the copied project.
        runs: folders of the runs to remove, relative to the results.
    """
    results = folder / RESULTS
    for run in runs:
        shutil.rmtree(results / run)
    outputs = [path for path in results.iterdir() if path.name not in INPUTS_OF_TABLES]
    simulated = "calibration", "false_outcomes"
    tables = [p for p in (results / "tables").iterdir() if not p.name.startswith(simulated)]
    for path in [*outputs, *tables]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
