# Purpose: start a study safely. Write the completed config for all stages. Let only one snakemake
#     work on the results at a time; its locks end with its process. If an earlier snakemake was
#     killed, wait for its running jobs; its pending jobs end by themselves. Make damaged files
#     again. Delete outputs kept for a re-run once the study is complete.
# Inputs: the merged config files, as Snakemake holds them; all results that have checksums
# Outputs: config.json, blocks.json
#
# All rules take config.json as ancient(): their params hold the fields that they depend on. No rule
# makes config.json, because Snakemake re-runs nothing below a job whose output is only used as
# ancient(): an edit of the config would update this file and nothing else.

STUDY_LOCK, JOBS_LOCK = (Path(RESULTS) / name for name in (".lock", ".jobs.lock"))
# Tells cluster jobs which snakemake submitted them: the holder of STUDY_LOCK.
SUBMITTER = "FLATREG_SUBMITTER"
# Files kept open, and so locked, until the process ends.
HELD = []


def write_config():
    """Write the completed config."""
    try:
        write_json(Path(CONFIG), STUDY)
    except UserError as error:
        sys.exit(f"error: {error}")


def begin_study():
    """Lock the results for this snakemake, and write the config for its jobs."""
    try:
        HELD.append(locks.claim(STUDY_LOCK))
    except UserError as error:
        sys.exit(f"error: {error}")
    os.environ[SUBMITTER] = locks.holder(STUDY_LOCK)
    write_config()
    write_json(Path(PLAN), {kind: dict(planned) for kind, planned in BLOCKS.items()})


def begin_job():
    """Join the study as a cluster job; stop if another snakemake has taken over."""
    HELD.append(locks.share(JOBS_LOCK))
    submitter, current = os.environ.get(SUBMITTER), locks.holder(STUDY_LOCK)
    if submitter not in (None, current):
        sys.exit(
            f"error: this job's snakemake, {submitter}, is gone; {current} took over"
        )


def mend_clock():
    """Wait for an earlier snakemake's jobs, then reset modification times in the future."""
    locks.wait_for_sharers(
        JOBS_LOCK, "jobs of an earlier snakemake; cancel them to go on at once"
    )
    folders = [Path(RESULTS), Path(GENERATED), SOURCE]
    watched = [
        Path(RESULTS),
        Path(f"{RESULTS}/data"),
        Path(".snakemake"),
        SOURCE,
    ]
    if said := intact.mend_clock(watched, folders):
        logger.warning(said)


def mend_damaged():
    """Make damaged files again; a dry run only lists them."""
    damaged = intact.damaged(Path(RESULTS), Path(GENERATED), Path(PDF))
    if workflow.output_settings.dryrun:
        for path in damaged:
            logger.warning(f"{path} is damaged: a run will make it again")
        return
    for said in intact.mend(damaged, preparing()):
        logger.warning(said)


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


if not Path(CONFIG).exists():
    write_config()

if workflow.remote_exec:
    begin_job()
elif workflow.is_main_process and not locks.is_held(STUDY_LOCK):
    if not workflow.output_settings.dryrun:
        mend_clock()
    mend_damaged()


# Not while planning: jobs of another snakemake may still read the old config.
onstart:
    begin_study()


onsuccess:
    finished.forget(Path(CHECKPOINTS))
    cancel_timers()


onerror:
    cancel_timers()
