"""The time that Slurm adds per run: `python -m bench.slurm_overhead --help`.

Short trainings and their measurements run on one core: by Snakemake alone, and, through
each profile, as jobs of a real two-node Slurm on this machine. The time is that of the whole
`snakemake` command.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from flatreg import command, machine
from flatreg.disk.files import write_json
from flatreg.errors import UserError
from tests.cluster.loopback import Cluster, missing
from tests.cluster.project import METRICS, Project, copy_project, digits_alone

EPOCHS = 10
# Prepared before the clock starts.
DATA = "results/demo/data/digits.npz"
MACHINE = ("commit", "dirty", "processor", "cores", "python")


def main() -> None:
    """Time all three, and write the seconds that Slurm adds per run."""
    parser = argparse.ArgumentParser(prog="python -m bench.slurm_overhead", description=__doc__)
    parser.add_argument("--runs", type=int, default=16, help="trainings, an even number (16)")
    parser.add_argument("--out", type=Path, required=True, help="the times (JSON)")
    arguments = parser.parse_args()
    if lacking := missing():
        raise UserError(f"{' and '.join(lacking)} are missing; `make slurm` installs them")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = Cluster(folder / "slurm")
        cluster.start()
        try:
            seconds = {
                profile: timed(copy_project(folder / profile, cluster), profile, arguments.runs)
                for profile in ("local", "slurm", "cluster-generic")
            }
        finally:
            cluster.stop()
    runs, alone = arguments.runs, seconds.pop("local")
    added = {profile: round((took - alone) / runs, 2) for profile, took in seconds.items()}
    report = {"runs": runs, "seconds": {"local": alone} | seconds, "added_seconds_a_run": added}
    facts = machine.describe()
    write_json(arguments.out, report | {name: facts[name] for name in MACHINE})


def timed(project: Project, profile: str, runs: int) -> float:
    """Seconds that `snakemake` takes; the data are prepared before."""
    project.configure(digits_alone(EPOCHS, runs // 2))
    finish(project, "local", DATA)
    begun = time.perf_counter()
    finish(project, profile, "--cores", "1", str(METRICS))
    return round(time.perf_counter() - begun, 1)


def finish(project: Project, profile: str, *options: str) -> None:
    """Run Snakemake to its end.

    Raises:
        UserError: Snakemake failed.
    """
    process = project.start(profile, *options)
    output, _ = process.communicate()
    if process.returncode:
        raise UserError(f"snakemake failed: {output.strip().splitlines()[-1]}")


if __name__ == "__main__":
    command.run(main)
