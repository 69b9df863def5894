"""Cost of planning, merging and testing thousands of runs: `python -m bench.scale --help`.

The runs are not trained. Each is a copy of a run of the demo with its own name, accuracy and
curvature, so that tables and tests have differences to work on.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from flatreg import command, config, machine
from flatreg.config import Config, Run
from flatreg.disk.files import read_sealed, write_json, write_sealed
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from tests.configs import whole_study
from tests.copies import GENERATED, ROOT, WORKFLOW, copy_parts

SCHEMA = ROOT / "workflow/schemas/config.schema.json"
SAMPLE = Run("stated", "breast_cancer", "0.1", 0)
LAMBDAS = ["0", "0.001", "0.01", "0.1", "1"]
DATASETS = ["breast_cancer", "digits"]
TABLES = {
    "merge": ["collect", "--out", "tables"],
    "summarize": ["summarize", "--metrics", "tables/metrics.csv", "--out", "tables/summary.csv"],
    "test": ["compare", "--metrics", "tables/metrics.csv", "--out", "tables/tests.csv"],
}


class Cost(NamedTuple):
    """What a command took: wall-clock seconds and peak memory (MiB)."""

    seconds: float
    megabytes: float


def main() -> None:
    """Plan, merge, summarize and test, and write the cost of each."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--runs", type=int, default=6000, help="trainings of the study")
    parser.add_argument(
        "--protocols", type=int, default=15, help="protocols, on two data sets each"
    )
    parser.add_argument(
        "--demo", type=Path, default=Path("results/demo"), help="results of the demo"
    )
    parser.add_argument("--work", type=Path, required=True, help="an empty folder to work in")
    parser.add_argument("--out", type=Path, required=True, help="the costs (JSON)")
    arguments = parser.parse_args()
    sample = run_dir(arguments.demo, *SAMPLE)
    if not (sample / "curvature.json").exists():
        raise UserError(f"{sample} has no curvature.json; run `make demo` first")
    overlay = study(arguments.runs, arguments.protocols)
    folder = copy_workflow(arguments.work, overlay)
    costs = {"plan": measured([sys.executable, "-m", "snakemake", "-n", "-q", "all"], folder)}
    completed = config.read([folder / "config.yaml", folder / "study.yaml"], SCHEMA)
    runs = config.runs(completed)
    write_json(folder / "results/config.json", completed)
    for number, run in enumerate(runs):
        write_run(folder, run, sample, np.random.default_rng(number))
    for name, words in TABLES.items():
        costs[name] = measured(command_of(*words), folder)
    write_json(arguments.out, report(len(runs), costs))


def study(runs: int, protocols: int) -> dict[str, Any]:
    """An overlay of config.yaml for a study with about this many runs.

    The first protocol is the main one, which figures and tables show; the others extend it and vary
    its learning rate.
    """
    seeds = round(runs / (protocols * len(DATASETS) * len(LAMBDAS)))
    training = {
        "model": {"name": "mlp", "hidden": [64, 32], "dropout": 0.3},
        "batch": 32,
        "epochs": 10,
        "learning_rate": 0.01,
        "weight_decay": 0.0005,
    }
    entry = {
        "lambdas": LAMBDAS,
        "seeds": [*range(seeds)],
        "datasets": dict.fromkeys(DATASETS, training),
    }
    theirs = whole_study()["protocols"]
    ours = {"protocol_0": entry}
    for number in range(1, protocols):
        varied = {"learning_rate": round(0.01 + 0.001 * number, 3)}
        ours[f"protocol_{number}"] = {
            "extends": "protocol_0",
            "datasets": dict.fromkeys(DATASETS, varied),
        }
    return {
        "claims": None,
        "estimates": None,
        "verify": {"runs": []},
        "surface": {"protocol": "protocol_0", "lambda": "1", "seed": 0},
        "protocols": dict.fromkeys(theirs) | ours,
    }


def copy_workflow(folder: Path, overlay: dict[str, Any]) -> Path:
    """Copy the workflow's files and the overlay into an empty folder."""
    copy_parts(folder, WORKFLOW, *GENERATED)
    (folder / "study.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    return folder


def command_of(stage: str, *flags: str) -> list[str]:
    """The command line of a stage of the library, with tables in results/."""
    paths = [f"results/{word}" if word.startswith("tables") else word for word in flags]
    stage_words = [
        sys.executable,
        "-m",
        f"flatreg.tables.{stage}",
        "--config",
        "results/config.json",
    ]
    return [*stage_words, *paths]


def write_run(folder: Path, run: Run, sample: Path, rng: np.random.Generator) -> None:
    """Write a run's files: those of the sample, with the run's name and its own numbers."""
    out = run_dir(folder / "results", *run)
    out.mkdir(parents=True)
    for name in ("epochs.csv", "params.npz", "last.npz", "timing.json", "facts.json"):
        os.link(sample / name, out / name)
    shift = rng.normal(0, 0.01)
    metrics, curvature, flatness = (
        read_sealed(sample / f"{name}.json") for name in ("metrics", "curvature", "flatness")
    )
    named = dict(zip(("protocol", "dataset", "lambda", "seed"), run, strict=True))
    metrics |= named | {"test_accuracy": float(np.clip(0.9 + shift, 0, 1))}
    curvature["train"]["tr_h2"] *= float(np.exp(10 * shift))
    write_sealed(out / "metrics.json", metrics)
    write_sealed(out / "curvature.json", curvature)
    write_sealed(out / "flatness.json", flatness | named)


def measured(words: list[str], folder: Path) -> Cost:
    """Run a command and measure its cost.

    Raises:
        UserError: the command failed.
    """
    words = [*words, *(["--configfile", "study.yaml"] if "snakemake" in words else [])]
    clock = time.perf_counter()
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - clock
    if status:
        raise UserError(f"{' '.join(words)} failed: {errors.strip().splitlines()[-1]}")
    return Cost(round(seconds, 1), round(used.ru_maxrss / 1024))


def report(runs: int, costs: dict[str, Cost]) -> Config:
    """The costs, with the machine and commit on which they were measured."""
    facts = machine.describe()
    making = {name: facts[name] for name in ("commit", "dirty", "processor", "cores", "python")}
    return {
        "runs": runs,
        **{name: cost._asdict() for name, cost in costs.items()},
        **making,
        "system": platform.system(),
    }


if __name__ == "__main__":
    command.run(main)
