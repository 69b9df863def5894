# Purpose: what the rules share: the checked config, where files are, and which
#     of the library's files a stage is made of. A rule's mem_mb (MB) and runtime
#     (minutes) are a third and more above the most that was measured, on a busy
#     two-core machine (memory with what Snakemake takes beside it on a cluster), and
#     grow with each attempt; downloads have an hour. Jobs of
#     a `group` go to a cluster's scheduler together, as its profile says.
# Inputs: the merged config files, workflow/schemas/config.schema.json
# Outputs: none

import ast
import os
import re
import sys
from functools import cache
from pathlib import Path

from flatreg.config import (
    BASELINE,
    TEXT_SOURCES,
    Run,
    cell_settings,
    check_optimizers,
    check_writable,
    data_settings,
    digest,
    estimated_runs,
    load,
    measure_settings,
    runs,
    search_of,
    selection_key,
    settings,
    settings_key,
)
from flatreg import clock, finished, intact, locks, runtime
from flatreg.errors import UserError
from flatreg.evidence import ledger
from flatreg.evidence import tables as evidence
from flatreg.files import read_json, sha256, write_json

os.environ.update(runtime.environment())

HOME = Path(os.path.relpath(workflow.basedir))
SCHEMA = str(HOME / "workflow/schemas/config.schema.json")
LEDGER_SCHEMA = str(HOME / "workflow/schemas/claims.schema.json")
SOURCE = HOME / "src/flatreg"


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


def rescaled_run():
    """The perceptron whose layers are rescaled: the first that surfaces are drawn of, or none."""
    shown = STUDY["surface"]
    datasets = STUDY["protocols"][shown["protocol"]]["datasets"]
    return [
        Run(shown["protocol"], name, BASELINE, shown["seed"])
        for name, chosen in datasets.items()
        if chosen["model"]["name"] == "mlp"
    ][-1:]


def sources():
    """The data sets that the study reads, each once."""
    entries = (d for p in STUDY["protocols"].values() for d in p["datasets"].values())
    return sorted({entry["source"] for entry in entries})


STUDY = checked_study()
LEDGER = STUDY["claims"]
RESULTS, GENERATED, PDF = (STUDY["paths"][k] for k in ("results", "generated", "pdf"))
LOGS, BENCHMARKS = f"{RESULTS}/logs", f"{RESULTS}/benchmarks"
COMPILED, CHECKPOINTS = f"{RESULTS}/compiled", f"{RESULTS}/checkpoints"
RUNS = runs(STUDY)
# All of the config that may change a number somewhere.
STUDY_KEY = digest(
    {k: v for k, v in STUDY.items() if k not in ("paths", "checkpoint", "verify")}
)

CONFIG = f"{RESULTS}/config.json"
DATA = f"{RESULTS}/data/{{source}}.npz"
FEATURES = f"{RESULTS}/features/{{source}}-{{reading}}.npz"
SELECTION = f"{RESULTS}/selection/{{protocol}}/{{dataset}}.json"
RUN = "runs/{protocol}/{dataset}/lambda-{lam}/seed-{seed}"
TABLES = expand(
    f"{RESULTS}/tables/{{name}}.csv",
    name=["metrics", "epochs", "times", "summary", "tests"],
)

SURFACES = expand(
    f"{RESULTS}/surfaces/{{dataset}}.npz",
    dataset=STUDY["protocols"][STUDY["surface"]["protocol"]]["datasets"],
)
ORIGINAL = str(HOME / "paper/original.json")
# Data sets that the original reports on; of none there is nothing to draw.
INSPECTED = set(read_json(Path(ORIGINAL))["results"]) & set(sources())
FIGURES = expand(
    f"{RESULTS}/figures/{{name}}.{{kind}}",
    name=[
        "accuracy",
        "flatness",
        "flatness_and_accuracy",
        "correlations",
        *(["grim"] if INSPECTED else []),
        "learning_curves",
        "interpolation",
        "surface",
        "cost",
        "cost_growth",
    ],
    kind=["pdf", "svg"],
)
FLATNESS = f"{RESULTS}/flatness/{{protocol}}/{{dataset}}/lambda-{{lam}}.json"
# Tables that a study without a ledger, or without a perceptron, does not make.
UNMADE = {
    *([] if LEDGER else ["claims", "claim_runs"]),
    *([] if rescaled_run() else ["reparametrization"]),
}
MADE = [name for name in evidence.EVIDENCE if name not in UNMADE]
EVIDENCE = expand(f"{RESULTS}/tables/{{name}}.csv", name=MADE)
ESTIMATED = estimated_runs(STUDY)
# Kept, as it asks for a quiet machine and PyTorch: `make bench` writes it.
BENCH = str(HOME / "bench/results/cost.json")


# What the paper may cite, by the flags of flatreg.paper.sources.
CITED = {
    **{
        name: f"{RESULTS}/tables/{name}.csv"
        for name in ["metrics", "summary", "tests", "times", *MADE]
        if name not in evidence.WORKINGS
    },
    "manifests": expand(f"{RESULTS}/data/{{source}}.json", source=sources()),
    "original": ORIGINAL,
    "bench": BENCH,
}


def library(*modules):
    """A param, 16 hex digits, that names what these modules are made of: a change of it re-runs.

    They are of the files' contents. Forty files a job as inputs would do the same, and be most of
    what Snakemake goes through for a study of thousands of runs. A job of a cluster, which plans
    but itself, asks for its own modules' alone.
    """
    return lambda wildcards: library_digest(*modules)


@cache
def library_digest(*modules):
    """16 hex digits of the contents of the files that these modules are made of."""
    files = library_files(*modules)
    return digest({str(path.relative_to(SOURCE)): sha256(path) for path in files})


@cache
def library_files(*modules):
    """The library's files that these modules are made of, by the imports in their text.

    flatreg.config is left out: what a stage takes from the config is in its params.
    """
    found, waiting = set(), [(SOURCE / "__init__.py"), *map(module_file, modules)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [p for p in imported_files(path) if p != SOURCE / "config.py"]
    return sorted(found)


def module_file(name):
    """The file of `flatreg.NAME`, a module or a package."""
    path = SOURCE.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def imported_files(path):
    """The library's files that one of them imports, anywhere in its text."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    inside = (n.removeprefix("flatreg.") for n in names if n.startswith("flatreg."))
    # `from flatreg.files import read_json`: the last word may be no module.
    return [path for path in map(module_file, inside) if path.exists()]


def growing(first):
    """A resource of which each attempt asks for as much again: a job that had too little gets more."""
    return lambda wildcards, attempt: first * attempt


def one_of(values):
    """The pattern of a wildcard that has these values, each once."""
    return "|".join(sorted({re.escape(str(value)) for value in values}))


def data_key(source):
    """What of the config a source's arrays depend on; texts become features in a step of their own."""
    return digest({} if source in TEXT_SOURCES else data_settings(STUDY, source))


def data_file(wildcards):
    """The file that a data set's trainings read."""
    chosen = STUDY["protocols"][wildcards.protocol]["datasets"][wildcards.dataset]
    if chosen["reading"] is None:
        return DATA.format(**chosen)
    return FEATURES.format(**chosen)


def selection_file(wildcards):
    """The result of the search that a data set takes its rates from, if there is one."""
    protocol = search_of(STUDY, wildcards.protocol, wildcards.dataset)
    if protocol is None:
        return []
    return SELECTION.format(protocol=protocol, dataset=wildcards.dataset)


def search_key(wildcards):
    """What of the config a search depends on."""
    return selection_key(cell_settings(STUDY, wildcards.protocol, wildcards.dataset))


def named_run(wildcards):
    """The run that a path's wildcards name."""
    return Run(
        wildcards.protocol, wildcards.dataset, wildcards.lam, int(wildcards.seed)
    )


def run_files(name, chosen=RUNS):
    """One file of each of these runs."""
    pattern = f"{RESULTS}/{RUN}/{name}"
    return [pattern.format(**run._asdict()) for run in chosen]


def surface_runs(dataset):
    """The lambda = 0 and the lambda > 0 run whose surfaces are compared."""
    shown = STUDY["surface"]
    return [
        Run(shown["protocol"], dataset, lam, shown["seed"])
        for lam in (BASELINE, shown["lambda"])
    ]


def cells():
    """Protocol, data set and lambda of every cell, as lists beside one another."""
    rows = dict.fromkeys(run[:3] for run in RUNS)
    return dict(zip(("protocol", "dataset", "lam"), zip(*rows)))


def cell_runs(wildcards):
    """The runs of a cell, all its seeds."""
    cell = (wildcards.protocol, wildcards.dataset, wildcards.lam)
    return [run for run in RUNS if run[:3] == cell]


def cited_flags(wildcards, input):
    """The flags that name all that the paper may cite, as flatreg.paper.sources reads them."""
    named = {name: getattr(input, name) for name in ["config", *CITED]}
    files = {k: [v] if isinstance(v, str) else v for k, v in named.items()}
    return [w for k, v in files.items() for w in (f"--{k.replace('_', '-')}", *v)]


def notebook_inputs(wildcards):
    """What a data set's notebook reads beside the tables."""
    explored = [run for run in RUNS if run.dataset == wildcards.dataset]
    chosen = cell_settings(STUDY, explored[0].protocol, wildcards.dataset)
    surface = f"{RESULTS}/surfaces/{wildcards.dataset}.npz"
    return {
        "manifest": f"{RESULTS}/data/{chosen['source']}.json",
        "data": data_file(explored[0]),
        "params": run_files("params.npz", explored),
        "surface": [surface] if surface in SURFACES else [],
    }
