# Purpose: start a study safely. Commands that only look, such as `-n` or `--report`, change nothing
#     and need no right to write. When Snakemake is about to execute jobs, write the completed config
#     for all stages. Let only one snakemake work on the results at a time; its locks end with its
#     process. If an earlier snakemake was killed, wait for its running jobs; its pending jobs end by
#     themselves. Make damaged files again. Delete outputs kept for a re-run once the study is
#     complete.
# Inputs: the merged config files, as Snakemake holds them; all results that have checksums
# Outputs: config.json, .blocks.json
#
# All rules take config.json as ancient(): their params hold the fields that they depend on. No rule
# makes config.json, because Snakemake re-runs nothing below a job whose output is only used as
# ancient(): an edit of the config would update this file and nothing else.

STUDY_LOCK, JOBS_LOCK = (Path(RESULTS) / name for name in (".lock", ".jobs.lock"))
# Tells cluster jobs which snakemake submitted them: the holder of STUDY_LOCK.
SUBMITTER = "FLATREG_SUBMITTER"
# Files kept open, and so locked, until the process ends.
HELD = []
# Results that this Snakemake will take: several, if another workflow uses this one more than once.
STARTED = vars(workflow).setdefault("flatreg_results", set())
# What Snakemake and the study write, apart from the files that a job makes.
PLACES_OF_SNAKEMAKE = [
    ".snakemake",
    *(f".snakemake/{name}" for name in ["iocache", "locks", "metadata", "incomplete"]),
]
PLACES = [
    *[RESULTS, GENERATED, PDF, *PLACES_OF_SNAKEMAKE],
    *[LOGS, BENCHMARKS, COMPILED, CHECKPOINTS],
    *[STUDY_LOCK, JOBS_LOCK],
]


def or_one_line(function, *arguments):
    """Call a function; an error that the user can fix stops Snakemake with one line."""
    try:
        return function(*arguments)
    except Exception as error:
        line = mendable(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")


def check_places(check):
    """Check all places with a function."""
    for path in PLACES:
        check(Path(path))


def update_json(path, value):
    """Write a JSON file; one with this content keeps its time, and the report stays as it is."""
    text = json_text(value)
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)


def begin_study():
    """Take the results for this snakemake, and put them and the config in order for its jobs."""
    check_places(check_writable)
    HELD.append(locks.claim(STUDY_LOCK))
    os.environ[SUBMITTER] = locks.holder(STUDY_LOCK)
    waited = locks.wait_for_sharers(
        JOBS_LOCK, "jobs of an earlier snakemake; cancel them to go on at once"
    )
    update_json(Path(CONFIG), STUDY)
    if not UNPACKED:
        update_json(
            Path(PLAN), {kind: dict(planned) for kind, planned in BLOCKS.items()}
        )
    mend_clock()
    mend_damaged(damaged_files() if waited or DAMAGED is None else DAMAGED)
    if code.commit()[0] is None:
        logger.warning(
            "this copy has no git repository of its own: its results will name no commit"
        )


def begin_job():
    """Join the study as a cluster job; stop if another snakemake has taken over."""
    HELD.append(locks.share(JOBS_LOCK))
    submitter, current = os.environ.get(SUBMITTER), locks.holder(STUDY_LOCK)
    if submitter not in (None, current):
        sys.exit(
            f"error: this job's snakemake, {submitter}, is gone; {current} took over"
        )


def mend_clock():
    """Reset modification times in the future."""
    folders = [Path(RESULTS), Path(GENERATED), SOURCE]
    watched = [
        Path(RESULTS),
        Path(f"{RESULTS}/data"),
        Path(".snakemake"),
        SOURCE,
    ]
    if said := intact.mend_clock(watched, folders):
        logger.warning(said)


def damaged_files():
    """The files that changed after they were made."""
    return intact.damaged(Path(RESULTS), Path(GENERATED), Path(PDF))


def mend_damaged(damaged):
    """Make damaged files again."""
    for said in intact.mend(damaged, preparing()):
        logger.warning(said)


def look_at_study():
    """Say what a run would stop at or make again, and change nothing."""
    for path in DAMAGED or []:
        logger.warning(f"{path} is damaged: a run will make it again")


def is_closed(place):
    """Whether a file or folder can neither be changed nor made."""
    try:
        check_writable(Path(place))
    except UserError:
        return True
    return False


def look_from_outside():
    """Let Snakemake plan where it may not write: even then it wants to, in its folder.

    It gets another one, which has all that it reads.
    """
    folder = workflow.snakemake_tmp_dir / "persistence"
    folder.mkdir(exist_ok=True)
    for entry in Path(".snakemake").absolute().glob("*"):
        if entry.name not in ("iocache", "locks"):
            (folder / entry.name).symlink_to(entry)
    begin = PersistenceBase.__init__

    def begin_outside(self, *arguments, **options):
        begin(self, *arguments, **options | {"path": folder})

    PersistenceBase.__init__ = begin_outside


def cancel_timers():
    """Cancel the timer of Snakemake's max-jobs-per-timespan, which would delay the end by 5 s."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def preparing():
    """The command that writes each data set; running its rule would train every run again."""
    return {
        data: prepare.command_line(
            Path(CONFIG), source, data, data.with_suffix(".json")
        )
        for source in sources(STUDY)
        for data in [Path(DATA.format(source=source))]
    }


@contextmanager
def execution():
    """What a study needs before and after Snakemake executes its jobs."""
    if workflow.output_settings.dryrun:
        or_one_line(look_at_study)
        yield
        return
    or_one_line(begin_study)
    try:
        yield
    finally:
        cancel_timers()
    if workflow.dag:
        finished.forget(Path(CHECKPOINTS))


or_one_line(check_places, check_place)
if UNPACKED and workflow.is_main_process:
    or_one_line(confirm.check_kept, STUDY)
if (
    workflow.is_main_process
    and not STARTED
    and any(map(is_closed, PLACES_OF_SNAKEMAKE))
):
    look_from_outside()
DAMAGED = None
if workflow.remote_exec:
    or_one_line(begin_job)
elif workflow.is_main_process:
    if not locks.is_held(STUDY_LOCK):
        DAMAGED = damaged_files()
    # Only `workflow.execute` tells that jobs will be executed: Snakemake reads the rules before it
    # says what for, and it never calls the `onstart` of a module. Each `use rule` reads them again.
    if RESULTS not in STARTED:
        STARTED.add(RESULTS)
        workflow.execute = execution()(workflow.execute)
