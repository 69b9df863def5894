# Purpose: write down the study's config, checked and completed, for all stages to read.
# Inputs: the merged config files, as Snakemake holds them
# Outputs: config.json
#
# All other rules take it as ancient(): what of it they depend on is in their params.


localrules:
    write_config,


rule write_config:
    """Check the config, optimizers' arguments included, and write it with all defaults."""
    input:
        schema=SCHEMA,
        library=library("config"),
    output:
        config=CONFIG,
    log:
        f"{LOGS}/config.log",
    benchmark:
        f"{BENCHMARKS}/config.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        given=json.dumps(config),
    shell:
        "printf '%s' {params.given:q} |"
        " python -m flatreg.config - --schema {input.schema:q} --out {output.config:q}"
        " &> {log:q}"
