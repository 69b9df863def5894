# Purpose: test the original's claims on the runs, and quantify the uncertainty, with one rule per
#     row of flatreg.tables.registry; check how the original's own numbers can have arisen.
# Inputs: tables/*.csv, sample_sizes/{dataset}.csv, manifests, the ledger of claims, paper/original.json
# Outputs: tables/: correlations.csv equal_loss.csv sample_sizes.csv sample_size_fits.csv variance.csv
#     overall.csv test_sets.csv calibration.csv false_outcomes.csv claims.csv claim_runs.csv;
#     grim.csv grim_denominators.csv triples.csv checks.csv


for name, row in EVIDENCE_ROWS.items():

    rule:
        """Compute a table of the evidence, and any tables that the same command writes."""
        name:
            row.rule
        input:
            **inputs_of(row),
            config=ancient(written_config),
        output:
            **{
                key: (
                    shown_table(key, table.label, caption="caption")
                    if table.label
                    else TABLE.format(name=key)
                )
                for key, table in row.tables.items()
            },
            checksums=expand(f"{TABLE}.sha256", name=row.tables),
        log:
            f"{LOGS}/tables/{name}.log",
        benchmark:
            f"{BENCHMARKS}/tables/{name}.tsv"
        localrule: row.local
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=growing(1000),
            runtime=growing(10 if row.local else 20),
        params:
            library=library("evidence", f"evidence.{row.function.partition('.')[0]}"),
            key=fields_key(row.settings),
            arguments=arguments(name, row),
            tables=lambda wildcards, output: os.path.dirname(output[0]),
        shell:
            "python -m flatreg.evidence {params.arguments:q} --out {params.tables:q} &> {log:q}"


rule inspect_reported:
    """Compare the original's numbers with what test sets, chance and constant predictions allow."""
    input:
        original=ORIGINAL,
        manifests=MANIFESTS,
    output:
        grim=shown_table("grim", "test sets that the reported means allow"),
        denominators=f"{RESULTS}/tables/grim_denominators.csv",
        triples=f"{RESULTS}/tables/triples.csv",
        checks=shown_table("checks", "the reported numbers, one by one"),
        checksums=expand(
            f"{TABLE}.sha256", name=["grim", "grim_denominators", "triples", "checks"]
        ),
    log:
        f"{LOGS}/tables/grim.log",
    benchmark:
        f"{BENCHMARKS}/tables/grim.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("forensics"),
        key=digest([STUDY["analysis"]["alpha"], sources(STUDY)]),
        alpha=STUDY["analysis"]["alpha"],
        tables=subpath(output.grim, parent=True),
    shell:
        "python -m flatreg.forensics --original {input.original:q}"
        " --manifests {input.manifests:q} --alpha {params.alpha:q}"
        " --out {params.tables:q} &> {log:q}"
