# Purpose: describe the finished study in machine-readable form, so that it can be shared and found.
# Inputs: config.json, tables/*.csv, figures/*, data/*.json, facts.json of every run, the paper,
#     explore.html, CITATION.cff, Snakefile
# Outputs: ro-crate-metadata.json


CRATE = f"{RESULTS}/ro-crate-metadata.json"


rule write_crate:
    """Write the RO-Crate: results, columns, data, licences, workflow, commit and versions."""
    input:
        config=ancient(written_config),
        tables=[*TABLES, *EVIDENCE],
        figures=FIGURES,
        pdf=PDF,
        page=EXPLORE,
        manifests=MANIFESTS,
        facts=run_files("facts.json"),
        citation=str(HOME / "CITATION.cff"),
        workflow=str(HOME / "Snakefile"),
    output:
        crate=CRATE,
    log:
        f"{LOGS}/ro-crate-metadata.log",
    benchmark:
        f"{BENCHMARKS}/ro-crate-metadata.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("publish.crate"),
        key=STUDY_KEY,
    shell:
        "python -m flatreg.publish.crate --config {input.config:q} --citation {input.citation:q}"
        " --workflow {input.workflow:q} --out {output.crate:q} &> {log:q}"
