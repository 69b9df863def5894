# Purpose: what the rules share: the checked config, the paths of files, and the
#     modules of the library that each stage depends on. Each rule requests at least a
#     third more memory (mem_mb, MB) and time (runtime, minutes) than the largest
#     measurement on a busy two-core machine, and more with each attempt; downloads get
#     an hour. The memory includes what Snakemake itself uses inside a cluster job.
# Inputs: the config files, workflow/schemas/config.schema.json
# Outputs: none

import re
import threading
from contextlib import contextmanager

from snakemake.persistence import PersistenceBase

from flatreg import code, surroundings
from flatreg.config import blocks
from flatreg.config import (
    BASELINE,
    TEXT_SOURCES,
    Run,
    cell_key,
    cell_settings,
    cells,
    check_optimizers,
    data_settings,
    decisive,
    digest,
    estimated_runs,
    field,
    load,
    measure_settings,
    read_file,
    rescaled_run,
    runs,
    sampled_datasets,
    sampled_runs,
    sampling_settings,
    search_of,
    selection_key,
    sources,
    surface_datasets,
    surface_runs,
)
from flatreg.data import prepare
from flatreg.disk import finished, intact, locks
from flatreg.disk.files import (
    check_place,
    check_writable,
    json_text,
    read_json,
    write_text,
)
from flatreg.errors import UserError, mendable
from flatreg.evidence import ledger
from flatreg.figures import registry as figures
from flatreg.paper import tables as paper_tables
from flatreg.publish import answers, archive, confirm
from flatreg.tables import registry as evidence

if (said := surroundings.hold()) and workflow.is_main_process:
    logger.warning(said)

SOURCE = HOME / "src/flatreg"
SCHEMA = str(HOME / "workflow/schemas/config.schema.json")
LEDGER_SCHEMA = str(HOME / "workflow/schemas/claims.schema.json")
ORIGINAL = str(HOME / "paper/original.json")
# Committed, because the bench needs a quiet machine and PyTorch; `make bench` writes it.
BENCH = str(HOME / "bench/results/cost.json")
# Likewise by `make frontier`.
FRONTIER = str(HOME / "bench/results/frontier.json")


def check_files(paths):
    """Read config files as Snakemake does not: of a key that is there twice it takes the last."""
    try:
        for path in map(Path, paths):
            if path.exists():
                read_file(path)
    except UserError as error:
        sys.exit(f"error: {error}")


# At a file that is not text, `configfile` would end in a traceback.
check_files(dict.fromkeys([nearest_file("config.yaml"), *workflow.configfiles]))


configfile: nearest_file("config.yaml")


def check_questions(study, claims):
    """Check the questions of the short answer against the ledger, before anything is planned."""
    if study["questions"] is not None:
        path = Path(nearest_file(study["questions"]))
        tried = {claim.name: claim.protocols for claim in claims}
        answers.check(path, answers.read_questions(path), tried, cells(study))


def checked_study():
    """The completed config; a mistake in it stops Snakemake with a one-line error."""
    try:
        study = load(config, read_json(Path(SCHEMA)))
        study["paths"] = take_prefix(study["paths"])
        if study["claims"] is not None:
            path = Path(nearest_file(study["claims"]))
            schema = read_json(Path(LEDGER_SCHEMA))
            claims = ledger.read(path, schema, study, Path(BENCH))
            check_questions(study, claims)
        check_optimizers(study, before=Path(study["paths"]["results"]) / "config.json")
    except UserError as error:
        sys.exit(f"error: {error}")
    return study


STUDY = checked_study()
LEDGER = STUDY["claims"] and nearest_file(STUDY["claims"])
# Claims answer the questions.
QUESTIONS = LEDGER and STUDY["questions"] and nearest_file(STUDY["questions"])
RESULTS, GENERATED, PDF = (STUDY["paths"][k] for k in ("results", "generated", "pdf"))
# Whether the results are those of an archive: see docs/elsewhere.md.
UNPACKED = os.path.exists(f"{RESULTS}/{archive.LIST}")
LOGS, BENCHMARKS = f"{RESULTS}/logs", f"{RESULTS}/benchmarks"
COMPILED, CHECKPOINTS = f"{RESULTS}/compiled", f"{RESULTS}/checkpoints"
RUNS = runs(STUDY)
ESTIMATED = estimated_runs(STUDY)
RESCALED = [run for run in [rescaled_run(STUDY)] if run]
# Every field of the config that can change a number.
STUDY_KEY = digest(decisive(STUDY))

CONFIG = f"{RESULTS}/config.json"
DATA = f"{RESULTS}/data/{{source}}.npz"
FEATURES = f"{RESULTS}/features/{{source}}-{{reading}}.npz"
MANIFESTS = expand(f"{RESULTS}/data/{{source}}.json", source=sources(STUDY))
SEARCH = "selection/{protocol}/{dataset}/lambda-{lam}"
SELECTION = f"{RESULTS}/{SEARCH}.json"
RUN = "runs/{protocol}/{dataset}/lambda-{lam}/seed-{seed}"
SURFACES = expand(
    f"{RESULTS}/surfaces/{{dataset}}.npz", dataset=surface_datasets(STUDY)
)
# tr(H^2) of samples of several sizes, one table of each data set.
SAMPLED = expand(
    f"{RESULTS}/sample_sizes/{{dataset}}.csv", dataset=sampled_datasets(STUDY)
)
EXAMPLES = f"{RESULTS}/examples/{{dataset}}.npz"
TABLE = f"{RESULTS}/tables/{{name}}.csv"
TABLES = expand(TABLE, name=["metrics", "epochs", "times", "summary", "tests"])
# A study without a ledger has no claims to judge; one may measure no samples.
LACKING = {
    name
    for name, there in {
        "claims": LEDGER,
        "false_outcomes": LEDGER,
        "sample_size_fits": SAMPLED,
    }.items()
    if not there
}
EVIDENCE_ROWS = {
    name: row for name, row in evidence.ROWS.items() if name not in LACKING
}
# A study without a perceptron has no layers to rescale.
MADE = [
    *(name for row in EVIDENCE_ROWS.values() for name in row.tables),
    *["flatness", "grim", "grim_denominators", "triples", "checks", "estimates"],
    *["registrations", "registered_claims"],
    *(["reparametrization"] if RESCALED else []),
]
EVIDENCE = expand(TABLE, name=MADE)
# Data sets that the original reports on; without any, the GRIM figure would be empty.
INSPECTED = set(read_json(Path(ORIGINAL))["results"]) & set(sources(STUDY))
UNDRAWN = {
    name
    for name, there in {"grim": INSPECTED, "sample_sizes": SAMPLED}.items()
    if not there
}
DRAWN = {name: row for name, row in figures.FIGURES.items() if name not in UNDRAWN}
FIGURES = expand(
    f"{RESULTS}/figures/{{name}}.{{kind}}", name=DRAWN, kind=["pdf", "svg"]
)
# Inputs in the registries' rows that are not tables of the study.
FILES = {
    "manifests": MANIFESTS,
    "surfaces": SURFACES,
    "sampled": SAMPLED,
    "ledger": LEDGER or [],
    "schema": LEDGER_SCHEMA,
    "original": ORIGINAL,
    "bench": BENCH,
    "frontier": FRONTIER,
}
# The files that the paper may cite, by the flags of flatreg.paper.sources.
CITED = {
    **{
        name: TABLE.format(name=name)
        for name in ["metrics", "summary", "tests", "times", *MADE]
        if name not in evidence.WORKINGS
    },
    **{name: FILES[name] for name in ["manifests", "original", "bench", "frontier"]},
}
# Captions of figures and tables, printed by workflow/report/caption.rst. In a copy of the config: a
# workflow that uses this one goes on with its own.
config = {
    **config,
    "captions": {
        **{name: row.caption for name, row in DRAWN.items()},
        **{
            name: table.caption
            for row in EVIDENCE_ROWS.values()
            for name, table in row.tables.items()
            if table.caption
        },
    },
}


def written_config(wildcards):
    """The completed config. A run writes it before it is planned; a dry run may do without it."""
    return CONFIG if os.path.exists(CONFIG) else []


def library(*commands):
    """A param: a hash (16 hex digits) of the modules that these commands import.

    A job runs again when the hash changes. Listing the modules as inputs would do the same, but
    forty more inputs per job would dominate Snakemake's planning in a study of thousands of runs.
    A cluster job plans only itself, so it hashes only its own modules.
    """
    return lambda wildcards: code.digest(*commands)


def library_of_runs(chosen, *commands):
    """A param like that of `library`: these commands, and the models and estimators of some runs.

    Args:
        chosen: the runs, as a function of the wildcards.
        commands: as of `library`.
    """

    def of_wildcards(wildcards):
        entries = [entry_of(run) for run in chosen(wildcards)]
        named = {f"models.{entry['model']['name']}" for entry in entries}
        estimators = {entry["penalty"]["estimator"] for entry in entries} - {"auto"}
        named |= {f"penalty.estimators.{name}" for name in estimators}
        return code.digest(*commands, *sorted(named))

    return of_wildcards


def entry_of(run):
    """The config's entry of the data set of a run, or of a path's wildcards."""
    return STUDY["protocols"][run.protocol]["datasets"][run.dataset]


def growing(first):
    """A resource that grows by `first` with each attempt, so that a retry gets more."""
    return lambda wildcards, attempt: first * attempt


def one_of(values):
    """A wildcard pattern that matches exactly these values."""
    return "|".join(sorted({re.escape(str(value)) for value in values}))


def inputs_of(row):
    """The files that a registry's row reads, by flag name."""
    return {name: FILES.get(name, TABLE.format(name=name)) for name in row.inputs}


def flags(*names):
    """A param: the command-line flags of the inputs with these names, each with its files."""

    def of_input(wildcards, input):
        files = {name: getattr(input, name) for name in names}
        listed = {k: [v] if isinstance(v, str) else v for k, v in files.items()}
        return [w for k, v in listed.items() for w in (f"--{k.replace('_', '-')}", *v)]

    return of_input


def arguments(name, row):
    """A param: the arguments of a registry's command: the row's name and its inputs' flags."""
    inputs = flags("config", *row.inputs)
    return lambda wildcards, input: [name, *inputs(wildcards, input)]


def shown_table(name, label, category="Evidence", caption=None):
    """A table that the report shows; its caption is of its own, or else of a registry's row."""
    return report(
        TABLE.format(name=name),
        caption=f"../report/{caption or name}.rst",
        category=category,
        labels={"table": label},
    )


def fields_key(places):
    """A param: a hash of these fields of the config."""
    return digest([field(STUDY, place) for place in places])


def data_key(source):
    """A hash of the fields that a source's arrays depend on; text features have their own rule."""
    return digest({} if source in TEXT_SOURCES else data_settings(STUDY, source))


def data_file(run):
    """The data file that a run trains on; takes a run or the wildcards of its path."""
    entry = entry_of(run)
    return (DATA if entry["reading"] is None else FEATURES).format(**entry)


def selection_file(run):
    """The search result that sets a run's learning rate and weight decay, if there is a search."""
    search = search_of(STUDY, *run[:3])
    if search is None:
        return []
    return SELECTION.format(dataset=run.dataset, **vars(search))


def named_run(wildcards):
    """The run that the wildcards of a path name."""
    return Run(
        wildcards.protocol, wildcards.dataset, wildcards.lam, int(wildcards.seed)
    )


def run_files(name, chosen=RUNS):
    """The file of this name of each run."""
    pattern = f"{RESULTS}/{RUN}/{name}"
    return [pattern.format(**run._asdict()) for run in chosen]


def solution_files(chosen):
    """The inputs of a rule that measures trained models, by input name.

    Args:
        chosen: a function of the wildcards that returns the runs, all of one data set and protocol.
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
    """A param: the folders of the runs that a rule reads."""
    return [os.path.dirname(path) for path in input.metrics]


def notebook_inputs(wildcards):
    """The inputs of a data set's notebook, apart from the tables."""
    explored = runs_of(wildcards)
    source = cell_settings(STUDY, explored[0].protocol, wildcards.dataset).source
    surface = f"{RESULTS}/surfaces/{wildcards.dataset}.npz"
    return {
        "manifest": f"{RESULTS}/data/{source}.json",
        "examples": EXAMPLES.format(dataset=wildcards.dataset),
        "surface": [surface] if surface in SURFACES else [],
    }


def runs_of(wildcards):
    """All runs of a data set."""
    return [run for run in RUNS if run.dataset == wildcards.dataset]
