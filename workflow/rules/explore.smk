# Purpose: show all evidence on one page that needs no server, and explore each data set in a
#     notebook executed from one template.
# Inputs: config.json, tables/{metrics,epochs,estimates,flatness}.csv,
#     tables/{claims,claim_runs,equal_loss}.csv if the study has a ledger, the questions of the short
#     answer, surfaces/{dataset}.npz, examples/{dataset}.npz, manifests
# Outputs: explore.html, notebooks/{dataset}.ipynb and .html


EXPLORE = f"{RESULTS}/explore.html"
NOTEBOOKS = expand(
    f"{RESULTS}/notebooks/{{dataset}}.html",
    dataset=dict.fromkeys(run.dataset for run in RUNS),
)
# The modules whose figures the template draws.
NOTEBOOK_FIGURES = ["figures.results", "figures.surfaces", "figures.style"]


rule write_explore_page:
    """Write the page: claims with their runs, learning curves, flatness and loss surfaces."""
    input:
        config=ancient(written_config),
        metrics=TABLE.format(name="metrics"),
        epochs=TABLE.format(name="epochs"),
        estimates=TABLE.format(name="estimates"),
        flatness=TABLE.format(name="flatness"),
        claims=TABLE.format(name="claims") if LEDGER else [],
        claim_runs=TABLE.format(name="claim_runs") if LEDGER else [],
        equal_loss=TABLE.format(name="equal_loss") if LEDGER else [],
        questions=QUESTIONS or [],
        surfaces=SURFACES,
        parts=expand(str(SOURCE / "explore/page.{kind}"), kind=["html", "css", "js"]),
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
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(5),
    params:
        library=library("explore.page"),
        key=STUDY_KEY,
        ledger=lambda wildcards, input: (
            ["--claims", input.claims, "--claim-runs", input.claim_runs]
            if LEDGER
            else []
        ),
        answers=lambda wildcards, input: (
            ["--questions", input.questions, "--equal-loss", input.equal_loss]
            if QUESTIONS
            else []
        ),
    shell:
        "python -m flatreg.explore.page --config {input.config:q} --metrics {input.metrics:q}"
        " --epochs {input.epochs:q} --estimates {input.estimates:q} --flatness {input.flatness:q}"
        " {params.ledger:q} {params.answers:q} --surfaces {input.surfaces:q}"
        " --out {output.page:q} &> {log:q}"


rule execute_notebook:
    """Execute the template notebook for one data set, and export it as HTML."""
    input:
        unpack(notebook_inputs),
        config=ancient(written_config),
        tables=TABLES,
        template=str(HOME / "workflow/notebooks/explore.ipynb"),
    output:
        notebook=f"{RESULTS}/notebooks/{{dataset}}.ipynb",
        page=report(
            f"{RESULTS}/notebooks/{{dataset}}.html",
            caption="../report/notebook.rst",
            category="Notebooks",
            labels={"data set": "{dataset}"},
        ),
    log:
        f"{LOGS}/notebooks/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/notebooks/{{dataset}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(5),
    params:
        library=library("explore.notebook", "explore.examples", *NOTEBOOK_FIGURES),
        key=lambda wildcards: digest(
            [STUDY["analysis"], STUDY["surface"], runs_of(wildcards)]
        ),
    shell:
        "python -m flatreg.explore.notebook --template {input.template:q} --config {input.config:q}"
        " --dataset {wildcards.dataset:q} --out {output.notebook:q} --html {output.page:q}"
        " &> {log:q}"
