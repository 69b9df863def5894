# Purpose: write down the study's config, checked and completed, for all stages to read.
# Inputs: the merged config files, as Snakemake holds them
# Outputs: config.json
#
# All rules take it as ancient(): what of it they depend on is in their params. No rule
# makes it, as Snakemake plans nothing below a job whose output is only taken as
# ancient(): after an edit of the config it would be written, and all else left as it was.


def write_config():
    """Write the completed config; a mistake that only Optax can tell is one line, and the end."""
    try:
        check_optimizers(STUDY)
        write_json(Path(CONFIG), STUDY)
    except UserError as error:
        sys.exit(f"error: {error}")


if not Path(CONFIG).exists():
    write_config()
