# Purpose: begin a study: write its config down for all stages, and build nothing on what is
#     broken, or on what another snakemake is at. One snakemake at a time works on the results,
#     under locks that end with their processes; jobs of one that was killed are waited for where
#     they run, and end where they have not begun; what is no longer as it was written is made
#     anew; what was kept for a re-run goes once all is done.
# Inputs: the merged config files, as Snakemake holds them; all results that have checksums
# Outputs: config.json
#
# All rules take config.json as ancient(): what of it they depend on is in their params. No rule
# makes it, as Snakemake plans nothing below a job whose output is only taken as ancient(): after
# an edit of the config it would be written, and all else left as it was.

STUDY_LOCK, JOBS_LOCK = (Path(RESULTS) / name for name in (".lock", ".jobs.lock"))
# Tells a cluster's jobs which snakemake has submitted them: the one that holds STUDY_LOCK.
SUBMITTER = "FLATREG_SUBMITTER"
# Open, and so locked, until the process ends.
HELD = []


def write_config():
    """Write the completed config; a mistake that only Optax can tell is one line, and the end."""
    try:
        check_optimizers(STUDY)
        write_json(Path(CONFIG), STUDY)
    except UserError as error:
        sys.exit(f"error: {error}")


def begin_study():
    """Be the one snakemake that works on the results, and write the config down for its jobs."""
    try:
        HELD.append(locks.claim(STUDY_LOCK))
    except UserError as error:
        sys.exit(f"error: {error}")
    os.environ[SUBMITTER] = locks.holder(STUDY_LOCK)
    write_config()


def begin_job():
    """Be one of a study's jobs on a cluster, if the snakemake that submitted it still is."""
    HELD.append(locks.share(JOBS_LOCK))
    submitter, current = os.environ.get(SUBMITTER), locks.holder(STUDY_LOCK)
    if submitter not in (None, current):
        sys.exit(
            f"error: this job's snakemake, {submitter}, is gone; {current} took over"
        )


def mend_clock():
    """Date what seems to be of the future now, after jobs of an earlier snakemake have ended."""
    locks.wait_for_sharers(
        JOBS_LOCK, "jobs of an earlier snakemake; cancel them to go on at once"
    )
    library_folder = code.LIBRARY
    folders = [Path(RESULTS), Path(GENERATED), library_folder]
    watched = [
        Path(RESULTS),
        Path(f"{RESULTS}/data"),
        Path(".snakemake"),
        library_folder,
    ]
    if said := intact.mend_clock(watched, folders):
        logger.warning(said)


def mend_damaged():
    """Have damaged files made anew; a dry run only names them."""
    damaged = intact.damaged(Path(RESULTS), Path(GENERATED), Path(PDF))
    if workflow.output_settings.dryrun:
        for path in damaged:
            logger.warning(f"{path} is not what was written: a run will make it anew")
        return
    for said in intact.mend(damaged, preparing()):
        logger.warning(said)


def preparing():
    """The command that makes each data set's file: its rule would have all trained anew."""
    return {
        data: prepare.command_line(
            Path(CONFIG), source, data, data.with_suffix(".json")
        )
        for source in sources(STUDY)
        for data in [Path(DATA.format(source=source))]
    }


if not Path(CONFIG).exists():
    write_config()

if workflow.remote_exec:
    begin_job()
elif workflow.is_main_process and not locks.is_held(STUDY_LOCK):
    if not workflow.output_settings.dryrun:
        mend_clock()
    mend_damaged()


# Not while planning: jobs of another snakemake may be reading the config.
onstart:
    begin_study()


onsuccess:
    finished.forget(Path(CHECKPOINTS))
