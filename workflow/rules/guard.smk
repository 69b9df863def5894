# Purpose: nothing is built on what is broken. One snakemake at a time works on the results, under
#     a lock that ends with its process; what is no longer as it was written is made anew; what was
#     kept for a re-run goes once all is done.
# Inputs: all results that have checksums
# Outputs: none


def remove_damaged():
    """Delete damaged files, so that Snakemake plans to make them; in a dry run only name them."""
    places = [Path(GENERATED), Path(PDF)]
    for path in intact.damaged(Path(RESULTS), *places):
        if workflow.output_settings.dryrun:
            logger.warning(f"{path} is not what was written; a run will make it anew")
        else:
            logger.warning(f"{path} is not what was written; it is made anew")
            path.unlink()


if workflow.is_main_process:
    remove_damaged()

# Open, and so locked, until the process ends.
HELD = []


# Not while planning: jobs of another snakemake may be reading the config.
onstart:
    try:
        HELD.append(locks.claim(Path(RESULTS) / ".lock"))
    except UserError as error:
        sys.exit(f"error: {error}")
    write_config()


onsuccess:
    finished.forget(Path(CHECKPOINTS))
