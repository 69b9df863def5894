# Purpose: what the rules share: the checked config, where files are, and which
#     of the library's files a stage is made of. A rule's mem_mb (MB) and runtime
#     (minutes) are a third and more above the most that was measured on a busy
#     two-core machine (memory with what Snakemake takes beside it on a cluster), and
#     grow with each attempt; downloads have an hour. Jobs of
#     a `group` go to a cluster's scheduler together, as its profile says.
# Inputs: the merged config files, workflow/schemas/config.schema.json
# Outputs: none

import os
import re
import sys
from pathlib import Path

from flatreg import code, machine
from flatreg.config import (
    TEXT_SOURCES,
    Run,
    cell_runs,
    cell_settings,
    cells,
    check_optimizers,
    data_settings,
    digest,
    estimated_runs,
    field,
    load,
    measure_settings,
    rescaled_run,
    runs,
    search_of,
    selection_key,
    settings,
    settings_key,
    sources,
    surface_datasets,
    surface_runs,
)
from flatreg.data import prepare
from flatreg.disk import finished, intact, locks
from flatreg.disk.files import check_writable, read_json, write_json
from flatreg.errors import UserError
from flatreg.evidence import ledger, registry as evidence
from flatreg.figures import registry as figures
from flatreg.paper import tables as paper_tables
from flatreg.tables.evidence import WORKINGS

os.environ.update(machine.environment())

HOME = Path(os.path.relpath(workflow.basedir))
SCHEMA = str(HOME / "workflow/schemas/config.schema.json")
LEDGER_SCHEMA = str(HOME / "workflow/schemas/claims.schema.json")
ORIGINAL = str(HOME / "paper/original.json")
# Kept, as it asks for a quiet machine and PyTorch: `make bench` writes it.
BENCH = str(HOME / "bench/results/cost.json")


def checked_study():
    """The completed config; a mistake in it is one line, and the end."""
    try:
        study = load(config, read_json(Path(SCHEMA)))
        for path in study["paths"].values():
            check_writable(Path(path))
        if study["claims"] is not None:
            ledger.read(Path(study["claims"]), read_json(Path(LEDGER_SCHEMA)), study)
    except UserError as error:
        sys.exit(f"error: {error}")
    return study


STUDY = checked_study()
LEDGER = STUDY["claims"]
RESULTS, GENERATED, PDF = (STUDY["paths"][k] for k in ("results", "generated", "pdf"))
LOGS, BENCHMARKS = f"{RESULTS}/logs", f"{RESULTS}/benchmarks"
COMPILED, CHECKPOINTS = f"{RESULTS}/compiled", f"{RESULTS}/checkpoints"
RUNS = runs(STUDY)
ESTIMATED = estimated_runs(STUDY)
RESCALED = [run for run in [rescaled_run(STUDY)] if run]
# All of the config that may change a number somewhere.
STUDY_KEY = digest(
    {k: v for k, v in STUDY.items() if k not in ("paths", "checkpoint", "verify")}
)

CONFIG = f"{RESULTS}/config.json"
DATA = f"{RESULTS}/data/{{source}}.npz"
FEATURES = f"{RESULTS}/features/{{source}}-{{reading}}.npz"
MANIFESTS = expand(f"{RESULTS}/data/{{source}}.json", source=sources(STUDY))
SELECTION = f"{RESULTS}/selection/{{protocol}}/{{dataset}}.json"
RUN = "runs/{protocol}/{dataset}/lambda-{lam}/seed-{seed}"
CELL = "{protocol}/{dataset}/lambda-{lam}"
FLATNESS = f"{RESULTS}/flatness/{CELL}.json"
SURFACES = expand(
    f"{RESULTS}/surfaces/{{dataset}}.npz", dataset=surface_datasets(STUDY)
)
TABLE = f"{RESULTS}/tables/{{name}}.csv"
TABLES = expand(TABLE, name=["metrics", "epochs", "times", "summary", "tests"])
# A study without a ledger judges no claims.
EVIDENCE_ROWS = {
    name: row for name, row in evidence.ROWS.items() if LEDGER or name != "claims"
}
# And one without a perceptron has no layers to rescale.
MADE = [
    *(name for row in EVIDENCE_ROWS.values() for name in row.tables),
    *["grim", "grim_denominators", "triples", "checks", "estimates"],
    *(["reparametrization"] if RESCALED else []),
]
EVIDENCE = expand(TABLE, name=MADE)
# Data sets that the original reports on; of none there is nothing to draw.
INSPECTED = set(read_json(Path(ORIGINAL))["results"]) & set(sources(STUDY))
DRAWN = {
    name: row for name, row in figures.FIGURES.items() if INSPECTED or name != "grim"
}
FIGURES = expand(
    f"{RESULTS}/figures/{{name}}.{{kind}}", name=DRAWN, kind=["pdf", "svg"]
)
# Inputs of the registries' rows that are no table of the study.
FILES = {
    "manifests": MANIFESTS,
    "cells": [
        FLATNESS.format(protocol=p, dataset=d, lam=l) for p, d, l in cells(STUDY)
    ],
    "surfaces": SURFACES,
    "ledger": LEDGER or [],
    "schema": LEDGER_SCHEMA,
    "original": ORIGINAL,
    "bench": BENCH,
}
# What the paper may cite, by the flags of flatreg.paper.sources.
CITED = {
    **{
        name: TABLE.format(name=name)
        for name in ["metrics", "summary", "tests", "times", *MADE]
        if name not in WORKINGS
    },
    **{name: FILES[name] for name in ["manifests", "original", "bench"]},
}
# What the report says below figures and tables: workflow/report/caption.rst.
config["captions"] = {
    **{name: row.caption for name, row in DRAWN.items()},
    **{
        name: shown.caption
        for row in EVIDENCE_ROWS.values()
        for name, shown in row.tables.items()
        if shown
    },
}


def library(*commands):
    """A param, 16 hex digits, that names what these commands are made of: a change of it re-runs.

    It is made of the files' contents. Forty files a job as inputs would do the same, and be most of
    what Snakemake goes through for a study of thousands of runs. A cluster job plans only itself,
    so it hashes only its own modules.
    """
    return lambda wildcards: code.digest(*commands)


def growing(first):
    """A resource of which each attempt asks for as much again: a job that had too little gets more."""
    return lambda wildcards, attempt: first * attempt


def one_of(values):
    """The pattern of a wildcard that has these values, each once."""
    return "|".join(sorted({re.escape(str(value)) for value in values}))


def inputs_of(row):
    """The files that a registry's row reads, by the name of their flag."""
    return {name: FILES.get(name, TABLE.format(name=name)) for name in row.inputs}


def flags(*names):
    """A param: the flags of a command for inputs of these names, each with its files."""

    def of_input(wildcards, input):
        files = {name: getattr(input, name) for name in names}
        listed = {k: [v] if isinstance(v, str) else v for k, v in files.items()}
        return [w for k, v in listed.items() for w in (f"--{k.replace('_', '-')}", *v)]

    return of_input


def arguments(name, row):
    """A param: the name of a registry's row and the flags of its inputs, as its command takes them."""
    inputs = flags("config", *row.inputs)
    return lambda wildcards, input: [name, *inputs(wildcards, input)]


def shown_table(row, name):
    """A table that the report shows, where its row says how."""
    path, shown = TABLE.format(name=name), row.tables[name]
    if shown is None:
        return path
    return report(
        path,
        caption="../report/caption.rst",
        category="Evidence",
        labels={"table": shown.label},
    )


def fields_key(places):
    """A param that names what stands at these places of the config."""
    return digest([field(STUDY, place) for place in places])


def data_key(source):
    """What of the config a source's arrays depend on; texts become features in a step of their own."""
    return digest({} if source in TEXT_SOURCES else data_settings(STUDY, source))


def data_file(run):
    """The file that the trainings of a run's data set read, of a run or a path's wildcards."""
    chosen = STUDY["protocols"][run.protocol]["datasets"][run.dataset]
    if chosen["reading"] is None:
        return DATA.format(**chosen)
    return FEATURES.format(**chosen)


def selection_file(wildcards):
    """The result of the search that a data set takes its rates from, if there is one."""
    protocol = search_of(STUDY, wildcards.protocol, wildcards.dataset)
    if protocol is None:
        return []
    return SELECTION.format(protocol=protocol, dataset=wildcards.dataset)


def named_run(wildcards):
    """The run that a path's wildcards name."""
    return Run(
        wildcards.protocol, wildcards.dataset, wildcards.lam, int(wildcards.seed)
    )


def run_files(name, chosen=RUNS):
    """One file of each of these runs."""
    pattern = f"{RESULTS}/{RUN}/{name}"
    return [pattern.format(**run._asdict()) for run in chosen]


def solution_files(chosen):
    """What measuring the solutions of some runs reads, by the names of a rule's inputs.

    Args:
        chosen: the runs, all of one data set and protocol, as a function of the wildcards.
    """

    def of_wildcards(wildcards):
        some = chosen(wildcards)
        return {
            "data": data_file(some[0]) if some else [],
            "metrics": run_files("metrics.json", some),
            "params": run_files("params.npz", some),
        }

    return of_wildcards


def run_folders(wildcards, input):
    """A param: the folders of the runs whose metrics.json a rule reads."""
    return [os.path.dirname(path) for path in input.metrics]


def notebook_inputs(wildcards):
    """What a data set's notebook reads beside the tables."""
    explored = [run for run in RUNS if run.dataset == wildcards.dataset]
    source = cell_settings(STUDY, explored[0].protocol, wildcards.dataset).source
    surface = f"{RESULTS}/surfaces/{wildcards.dataset}.npz"
    return {
        "manifest": f"{RESULTS}/data/{source}.json",
        "data": data_file(explored[0]),
        "params": run_files("params.npz", explored),
        "surface": [surface] if surface in SURFACES else [],
    }
