# Purpose: let a dry run plan a study that has no config.json yet. All jobs read the file, and a run
#     writes it before it plans (start.smk), so that there is nothing left to do for this rule.
# Inputs: the merged config files, as Snakemake holds them
# Outputs: config.json


if not Path(CONFIG).exists():

    rule write_config:
        """Write the completed config, which all jobs read."""
        output:
            CONFIG,
        log:
            f"{LOGS}/config.log",
        benchmark:
            f"{BENCHMARKS}/config.tsv"
        localrule: True
        threads: 1
        resources:
            mem_mb=growing(500),
            runtime=growing(5),
        run:
            write_json(Path(CONFIG), STUDY)
