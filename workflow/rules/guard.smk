# Purpose: nothing is built on what is broken, or on what another is at. One snakemake at a time
#     works on the results, under locks that end with their processes; jobs of one that was killed
#     are waited for where they run, and end where they have not begun; what is no longer as it was
#     written is made anew; what was kept for a re-run goes once all is done.
# Inputs: all results that have checksums
# Outputs: none

STUDY_LOCK, JOBS_LOCK = (Path(RESULTS) / name for name in (".lock", ".jobs.lock"))
# Tells a cluster's jobs which snakemake has submitted them: the one that holds STUDY_LOCK.
SUBMITTER = "FLATREG_SUBMITTER"
# Open, and so locked, until the process ends.
HELD = []


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
    """Date what seems to be of the future now: what is made next must not be older."""
    folders = [Path(RESULTS), Path(GENERATED), SOURCE]
    watched = [Path(RESULTS), Path(f"{RESULTS}/data"), Path(".snakemake"), SOURCE]
    if clock.was_set_back(watched):
        count = clock.date_now(folders)
        logger.warning(
            f"the clock was set back: {count} files of the future are dated now"
        )


def mend_damaged():
    """Make damaged data anew, and set other damaged files aside, so that Snakemake makes them.

    A dry run only names them.
    """
    for path in intact.damaged(Path(RESULTS), Path(GENERATED), Path(PDF)):
        if workflow.output_settings.dryrun:
            logger.warning(f"{path} is not what was written: a run will make it anew")
        elif intact.remade(path, remaking(path)):
            logger.warning(
                f"{path} was not what was written: made anew, the same as before"
            )
        else:
            aside = intact.set_aside(path)
            logger.warning(
                f"{path} is not what was written: now {aside}, to be made anew"
            )


def remaking(path):
    """The command that makes a data set's file; for other files, none.

    Were its rule to do it, all that was trained on the data would be trained again.
    """
    named = {DATA.format(source=source): source for source in sources()}
    if str(path) not in named:
        return None
    source = named[str(path)]
    return [
        *[
            sys.executable,
            "-m",
            "flatreg.prepare",
            "--config",
            CONFIG,
            "--dataset",
            source,
        ],
        *["--out", str(path), "--manifest", f"{RESULTS}/data/{source}.json"],
    ]


if workflow.remote_exec:
    begin_job()
elif workflow.is_main_process and not locks.is_held(STUDY_LOCK):
    if not workflow.output_settings.dryrun:
        locks.wait_for_sharers(
            JOBS_LOCK, "jobs of an earlier snakemake; cancel them to go on at once"
        )
        mend_clock()
    mend_damaged()


# Not while planning: jobs of another snakemake may be reading the config.
onstart:
    begin_study()


onsuccess:
    finished.forget(Path(CHECKPOINTS))
