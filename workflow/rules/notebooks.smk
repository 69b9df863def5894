# Purpose: explore each data set in a notebook, executed from one template.
# Inputs: tables/*.csv, surfaces, data and manifests, parameters of runs
# Outputs: notebooks/{dataset}.ipynb and .html


NOTEBOOKS = expand(
    f"{RESULTS}/notebooks/{{dataset}}.html",
    dataset=dict.fromkeys(run.dataset for run in RUNS),
)


rule execute_notebook:
    """Execute the template notebook for one data set, and show it as a page."""
    input:
        unpack(notebook_inputs),
        config=ancient(CONFIG),
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
        library=library("notebook", "explore", "figures", "tables"),
        key=digest([STUDY["analysis"], STUDY["surface"]]),
    shell:
        "python -m flatreg.notebook --template {input.template:q} --config {input.config:q}"
        " --dataset {wildcards.dataset:q} --out {output.notebook:q} --html {output.page:q}"
        " &> {log:q}"
