# Purpose: collect all runs in tables, and test each lambda against plain training.
# Inputs: metrics.json, epochs.csv, timing.json, facts.json, curvature.json and flatness.json of
#     every run
# Outputs: tables/: metrics.csv epochs.csv times.csv flatness.csv registrations.csv
#     registered_claims.csv summary.csv tests.csv, each with its checksum, NAME.csv.sha256


COLLECTED = [
    *["metrics", "epochs", "times", "flatness"],
    *["registrations", "registered_claims"],
]


rule collect_tables:
    """Collect all runs: a row per run, one per epoch, one per measure; and a table of times."""
    input:
        config=ancient(written_config),
        metrics=run_files("metrics.json"),
        epochs=run_files("epochs.csv"),
        timing=run_files("timing.json"),
        facts=run_files("facts.json"),
        curvature=run_files("curvature.json"),
        flatness=run_files("flatness.json"),
    output:
        metrics=shown_table("metrics", "every run", "Tables"),
        epochs=shown_table("epochs", "every epoch", "Tables"),
        times=shown_table("times", "times", "Tables"),
        flatness=shown_table("flatness", "flatness of every run"),
        registrations=TABLE.format(name="registrations"),
        registered=TABLE.format(name="registered_claims"),
        checksums=expand(f"{TABLE}.sha256", name=COLLECTED),
    log:
        f"{LOGS}/tables/metrics.log",
    benchmark:
        f"{BENCHMARKS}/tables/metrics.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("tables.collect"),
        key=digest(RUNS),
        tables=subpath(output.metrics, parent=True),
    shell:
        "python -m flatreg.tables.collect --config {input.config:q} --out {params.tables:q} &> {log:q}"


rule summarize_cells:
    """Summarize each cell over its seeds: n, diverged runs, mean, standard deviation, interval."""
    input:
        config=ancient(written_config),
        metrics=TABLE.format(name="metrics"),
    output:
        summary=shown_table("summary", "every cell", "Tables"),
        checksum=f"{RESULTS}/tables/summary.csv.sha256",
    log:
        f"{LOGS}/tables/summary.log",
    benchmark:
        f"{BENCHMARKS}/tables/summary.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("tables.summarize"),
        alpha=STUDY["analysis"]["alpha"],
    shell:
        "python -m flatreg.tables.summarize --config {input.config:q} --metrics {input.metrics:q}"
        " --out {output.summary:q} &> {log:q}"


rule compare_lambdas:
    """Test each lambda above 0 against plain training; adjust p within each data set."""
    input:
        config=ancient(written_config),
        metrics=TABLE.format(name="metrics"),
    output:
        tests=shown_table("tests", "tests against plain training", "Tables"),
        checksum=f"{RESULTS}/tables/tests.csv.sha256",
    log:
        f"{LOGS}/tables/tests.log",
    benchmark:
        f"{BENCHMARKS}/tables/tests.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("tables.compare"),
        key=digest(STUDY["analysis"]),
    shell:
        "python -m flatreg.tables.compare --config {input.config:q} --metrics {input.metrics:q}"
        " --out {output.tests:q} &> {log:q}"
