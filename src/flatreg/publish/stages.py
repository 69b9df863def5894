"""How long each stage of a study took.

The times come from the benchmarks that Snakemake writes for every job. Jobs run in parallel, so the
whole study takes about the sum divided by the number of cores.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from flatreg import command, tables
from flatreg.errors import UserError
from flatreg.tables.schema import count, number, table, text

# Stages in order, by the folder of their benchmarks, or by the first word of their names.
STAGES = {
    "data": "prepare data",
    "features": "extract features",
    "selection": "search rates",
    "train": "train",
    "measure": "measure",
    "surfaces": "map surfaces",
    "examples": "find examples",
    "sample_sizes": "measure samples",
    "tables": "tables and evidence",
    "figures": "figures",
    "paper": "paper",
    "notebooks": "notebooks",
}

TABLE = table(
    {
        "stage": text("stage of the study, or all"),
        "jobs": count("jobs of the stage"),
        "clock": number("minutes by the clock, one job after another", least=0),
        "processor": number("minutes of processor time", least=0),
    },
    unique=["stage"],
)


def main() -> None:
    """Print the stages as a Markdown table."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument("benchmarks", type=Path, help="results/benchmarks")
    print(markdown(by_stage(read(parser.parse_args().benchmarks))))


def read(folder: Path) -> pd.DataFrame:
    """One row per job: its stage, wall-clock seconds (`s`) and processor seconds (`cpu_time`).

    Raises:
        UserError: there are no benchmarks.
    """
    jobs = [
        pd.read_csv(path, sep="\t", usecols=["s", "cpu_time"]).assign(stage=stage(folder, path))
        for path in sorted(folder.rglob("*.tsv"))
    ]
    if not jobs:
        raise UserError(f"{folder} has no benchmarks; run the study first")
    return pd.concat(jobs, ignore_index=True)


def stage(folder: Path, path: Path) -> str:
    """The stage that a benchmark belongs to."""
    first = path.relative_to(folder).parts[0]
    return STAGES.get(first, STAGES.get(path.stem.partition("_")[0], "other"))


def by_stage(jobs: pd.DataFrame) -> pd.DataFrame:
    """`TABLE` of the jobs: one row per stage, then one for all stages together."""
    order = [name for name in [*STAGES.values(), "other"] if name in set(jobs["stage"])]
    groups = jobs.groupby("stage")
    minutes = groups[["s", "cpu_time"]].sum().loc[order] / 60
    rows = pd.DataFrame(
        {
            "stage": order,
            "jobs": groups.size()[order].to_numpy(),
            "clock": minutes["s"].to_numpy(),
            "processor": minutes["cpu_time"].to_numpy(),
        }
    )
    total = {"stage": "all", **rows[["jobs", "clock", "processor"]].sum()}
    return tables.check(pd.concat([rows, pd.DataFrame([total])]), TABLE, "stages")


def markdown(stages: pd.DataFrame) -> str:
    """`TABLE` as Markdown, minutes with one decimal."""
    lines = [
        "| stage | jobs | minutes, one after another | minutes of processor |",
        "| --- | --- | --- | --- |",
    ]
    for row in stages.itertuples():
        lines.append(f"| {row.stage} | {row.jobs} | {row.clock:.1f} | {row.processor:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.run(main)
