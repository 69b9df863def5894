"""Save a finished study as the reference.

The reference holds the completed config, the tables with their checksums, the manifests, the common
facts of the runs and the times of the stages; and the study's archive, if its paper was made. Its
runs may come from several commits, whose numbers of runs are recorded. They must come from one
machine and from committed code.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from flatreg import command, config, tables
from flatreg.disk.files import read_json, write_checksum, write_json
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.publish import archive, stages, unpack
from flatreg.tables.registry import EVIDENCE, WORKINGS

# Facts that differ from run to run.
OF_ONE_RUN = ("command", "begun", "ended", "commit", "ledger")


def main() -> None:
    """Copy a study's results into the reference's folder."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_out("the reference's folder")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    results = Path(study["paths"]["results"])
    folders = [run_dir(results, *run) for run in config.runs(study)]
    facts = common_facts({folder: read_json(folder / "facts.json") for folder in folders})
    paths = kept_tables(results / "tables")
    (arguments.out / "data").mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.copyfile(path, arguments.out / path.name)
        write_checksum(arguments.out / path.name)
    times = stages.by_stage(stages.read(results / "benchmarks"))
    tables.write(arguments.out / "stages.csv", times, stages.TABLE)
    for manifest in sorted((results / "data").glob("*.json")):
        shutil.copyfile(manifest, arguments.out / "data" / manifest.name)
    shutil.copyfile(arguments.config, arguments.out / "config.json")
    write_json(arguments.out / "facts.json", facts)
    if Path(study["paths"]["pdf"]).exists():
        archive.write(study, arguments.out / unpack.NAME)


def kept_tables(folder: Path) -> list[Path]:
    """The paths of the result tables, and of the study's tables of evidence without `WORKINGS`.

    Raises:
        UserError: a result table is missing, or a table was changed by hand.
    """
    evidence = {n: t for n, t in EVIDENCE.items() if (folder / f"{n}.csv").exists()}
    schemas = {n: t for n, t in (tables.RESULTS | evidence).items() if n not in WORKINGS}
    for name, table in schemas.items():
        tables.read(folder / f"{name}.csv", table)
    return [folder / f"{name}.csv" for name in schemas]


def common_facts(of_runs: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    """The facts that all runs share, the number of runs per commit, the first begin and last end.

    Raises:
        UserError: two runs differ in another fact, or the code of a run was not committed.
    """
    (first_folder, first), *_ = of_runs.items()
    for folder, facts in of_runs.items():
        if facts["dirty"] or facts["commit"] is None:
            raise UserError(
                f"{folder} was made by uncommitted code; commit it, delete the folder and run again"
            )
        for name in first:
            if name not in OF_ONE_RUN and facts.get(name) != first[name]:
                raise UserError(
                    f"{first_folder} and {folder} differ in {name} ({json.dumps(first[name])} and "
                    f"{json.dumps(facts.get(name))}); delete the older one and run again"
                )
    return {
        "commits": dict(Counter(facts["commit"] for facts in of_runs.values())),
        **{name: value for name, value in first.items() if name not in OF_ONE_RUN},
        "begun": min(facts["begun"] for facts in of_runs.values()),
        "ended": max(facts["ended"] for facts in of_runs.values()),
    }


if __name__ == "__main__":
    command.run(main)
