# Purpose: divide the runs into blocks. A job takes a block, whose runs share a process, the data and
#     compiled programs. A run that is in no block, such as one whose file is asked for by name, has
#     a job of its own.
# Inputs: which files of the runs exist and are intact; .blocks.json, in a cluster's job
# Outputs: none

import logging
from base64 import urlsafe_b64decode
from collections import Counter

PLAN = f"{RESULTS}/.blocks.json"
# The files that training, and measuring, writes for a run.
FILES_OF = {
    "train": [
        "metrics.json",
        "epochs.csv",
        "params.npz",
        "last.npz",
        "timing.json",
        "facts.json",
    ],
    "measure": ["curvature.json", "flatness.json"],
}
# The block of one run: a rule's wildcards name it.
SINGLE = blocks.Block("model", (Run("{protocol}", "{dataset}", "{lam}", "{seed}"),))


def planned_blocks():
    """The blocks of each kind of job; a job on a cluster reads those of its snakemake."""
    if workflow.remote_exec and Path(PLAN).exists():
        return {
            kind: [
                blocks.Block(name, tuple(Run(*run) for run in some))
                for name, some in planned.items()
            ]
            for kind, planned in read_json(Path(PLAN)).items()
        }
    named = named_runs()
    runs = [run for run in RUNS if run not in named]
    missing = sum(not has("measure", run) for run in runs)
    limits = workflow.resource_settings
    cores, gpus = limits.cores or os.cpu_count(), limits.resources.get("gpu").value or 0
    lanes = STUDY["lanes"] or blocks.default_lanes(missing, cores, gpus)
    return {
        "train": blocks.divide(runs, to_train, lanes),
        "measure": blocks.divide(runs, to_measure, lanes),
    }


def to_train(run):
    """Tells runs apart that are not trained together.

    Those with and without the penalty have different programs, and other settings that matter. Those
    whose rates come from different searches wait for different files.
    """
    return float(run.lam) > 0, has("train", run), search_of(STUDY, *run[:3])


def to_measure(run):
    """Tells runs apart that are not measured together: like `to_train`, once they are measured."""
    number = MEASURED.get(run)
    return number, number is not None and float(run.lam) > 0


def measured_together():
    """Numbers of the measured runs: only those with the same can be in one block.

    Snakemake measures a block again if a trained model of any of its runs is newer than the
    measurement of another.
    """
    made = [made_at(run) for run in RUNS if has("measure", run) and has("train", run)]
    numbers, oldest = {}, {}
    for measured, trained, run in sorted(one for one in made if one[1] <= one[0]):
        begun = oldest.setdefault(run[:2], [])
        if not begun or trained > begun[-1]:
            begun.append(measured)
        numbers[run] = len(begun)
    return numbers


def made_at(run):
    """When a run was measured (its oldest file), when it was trained (its newest), and the run."""
    measured, trained = (
        [os.path.getmtime(f"{folder_of(run)}/{name}") for name in FILES_OF[kind]]
        for kind in ("measure", "train")
    )
    return min(measured), max(trained), run


def has(kind, run):
    """Whether all files exist that a kind of job writes for a run, and Snakemake will keep them."""
    paths = [f"{folder_of(run)}/{name}" for name in FILES_OF[kind]]
    return all(os.path.exists(path) and path not in REPEATED for path in paths)


def incomplete_files():
    """The files that a killed Snakemake marked as begun: it makes them again.

    The name of a marker is that of the file in base64. If it is too long, it is cut into folders,
    whose names begin with an @.
    """
    markers = Path(".snakemake/incomplete")
    return {
        urlsafe_b64decode(
            "".join(part.removeprefix("@") for part in path.relative_to(markers).parts)
        ).decode()
        for path in markers.rglob("*")
        if path.is_file()
    }


def folder_of(run):
    """The folder of a run."""
    return f"{RESULTS}/{RUN}".format(**run._asdict())


def named_runs():
    """The runs of which a file is named on the command line."""
    folders = {os.path.dirname(os.path.normpath(word)) for word in sys.argv[1:]}
    return {run for run in RUNS if folder_of(run) in folders}


def rule_of(kind, block):
    """The name of the rule that trains, or measures, a block."""
    return f"{kind}_{block.name}"


def shown_rule(kind, block):
    """The same as Snakemake has it: a workflow that uses this one may rename its rules."""
    return workflow.modifier.modify_rulename(rule_of(kind, block))


def extend_options():
    """Let `--set-resources` and `--set-threads` of one run's rules hold for those of blocks too."""
    options = workflow.resource_settings
    for kind, planned in BLOCKS.items():
        of_one = shown_rule(kind, SINGLE)
        names = [shown_rule(kind, block) for block in planned]
        for option in ("overwrite_resources", "overwrite_threads"):
            given = dict(getattr(options, option))
            if of_one in given:
                given |= dict.fromkeys(names, given[of_one])
                setattr(options, option, given)


def single_runs(kind):
    """A pattern for the protocol of a path below runs/: that of a run which is in no block.

    Rules of blocks are preferred, but Snakemake would first make a job of each rule that fits.
    """
    if not BLOCKS[kind]:
        return one_of(run.protocol for run in RUNS)
    taken = {run for block in BLOCKS[kind] for run in block.runs}
    rest = [RUN.format(**run._asdict()) for run in RUNS if run not in taken]
    names = one_of(path.removeprefix("runs/") for path in rest) or "(?!)"
    return rf"(?=(?:{names})/)\w+"


class OneName(logging.Filter):
    """Gives the rules of blocks, in what Snakemake says, the name of the rule of one run."""

    def __init__(self):
        super().__init__()
        self.names = {
            shown_rule(kind, block): shown_rule(kind, SINGLE)
            for kind, planned in BLOCKS.items()
            for block in planned
        }

    def filter(self, record):
        if hasattr(record, "rule_name"):
            record.rule_name = self.names.get(record.rule_name, record.rule_name)
        if hasattr(record, "stats"):
            jobs = Counter()
            for name, count in record.stats.items():
                jobs[self.names.get(name, name)] += count
            record.stats = dict(jobs)
        return True


# Files that exist, but that a run of this Snakemake makes again.
REPEATED = incomplete_files() | {str(path) for path in DAMAGED or []}
MEASURED = measured_together()
BLOCKS = planned_blocks()
extend_options()
logger.addFilter(OneName())


def of_job(block, function):
    """A function of the wildcards: `function` of a run of a job, all of which give the same."""

    def of_wildcards(wildcards):
        run = named_run(wildcards) if block is SINGLE else block.runs[0]
        return function(run)

    return of_wildcards


def place_of_job(kind, block):
    """The place of a job's own log and benchmark, without suffix, below LOGS or BENCHMARKS."""
    return f"{RUN}/{kind}" if block is SINGLE else f"blocks/{rule_of(kind, block)}"


def library_of_job(block, command):
    """A param like that of `library_of_runs`, for the runs of a job, all of one data set."""
    return library_of_runs(of_job(block, lambda run: [run]), command)


def training_key(run):
    """A hash of the settings that the run shares with its cell."""
    return cell_key(STUDY, *run[:3])
