# Purpose: show the whole evidence in one page that needs no server.
# Inputs: config.json, tables/{metrics,epochs,times,estimates,flatness}.csv, of a study with a
#     ledger tables/{claims,claim_runs}.csv, surfaces/{dataset}.npz
# Outputs: explore.html


localrules:
    write_explore_page,


EXPLORE = f"{RESULTS}/explore.html"


rule write_explore_page:
    """Write the page: the claims with their runs, every curve, flatness, the loss surfaces."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
        epochs=f"{RESULTS}/tables/epochs.csv",
        times=f"{RESULTS}/tables/times.csv",
        estimates=f"{RESULTS}/tables/estimates.csv",
        flatness=f"{RESULTS}/tables/flatness.csv",
        claims=f"{RESULTS}/tables/claims.csv" if LEDGER else [],
        claim_runs=f"{RESULTS}/tables/claim_runs.csv" if LEDGER else [],
        surfaces=SURFACES,
        parts=expand(str(SOURCE / "page/page.{kind}"), kind=["html", "css", "js"]),
    output:
        page=report(
            EXPLORE,
            caption="../report/explore.rst",
            category="Evidence",
            labels={"page": "explore the claims and runs"},
        ),
    log:
        f"{LOGS}/explore.log",
    benchmark:
        f"{BENCHMARKS}/explore.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(5),
    params:
        library=library("page.__main__"),
        key=STUDY_KEY,
        ledger=lambda wildcards, input: (
            ["--claims", input.claims, "--claim-runs", input.claim_runs]
            if LEDGER
            else []
        ),
    shell:
        "python -m flatreg.page --config {input.config:q} --metrics {input.metrics:q}"
        " --epochs {input.epochs:q} --times {input.times:q} --estimates {input.estimates:q}"
        " --flatness {input.flatness:q} {params.ledger:q} --surfaces {input.surfaces:q}"
        " --out {output.page:q} &> {log:q}"
