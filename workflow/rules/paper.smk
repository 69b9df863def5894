# Purpose: write the paper's numbers, tables and flow charts, each with the provenance of its
#     numbers (JSON), and compile the paper.
# Inputs: tables/*.csv, data/*.json, figures/*.pdf, paper/main.tex, references.bib, original.json,
#     bench/results/cost.json, bench/results/frontier.json
# Outputs: the folder of generated LaTeX, the PDF


PAPER = HOME / "paper"
PAPER_TABLES = [
    *dict.fromkeys(f"table_{run.dataset}" for run in RUNS),
    *(name for name in paper_tables.TABLES if LEDGER or name != "ledger"),
]
# Files of generated LaTeX; the provenance of each is in the JSON file beside it.
WRITTEN = ["numbers", *PAPER_TABLES, "flow_models", "flow_step"]


rule write_numbers:
    """Write every number that the paper's text cites."""
    input:
        **CITED,
        config=ancient(written_config),
        text=str(PAPER / "main.tex"),
    output:
        numbers=f"{GENERATED}/numbers.tex",
        provenance=f"{GENERATED}/numbers.json",
    log:
        f"{LOGS}/paper/numbers.log",
    benchmark:
        f"{BENCHMARKS}/paper/numbers.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.numbers"),
        key=STUDY_KEY,
        cited=flags("config", *CITED),
    shell:
        "python -m flatreg.paper.numbers {params.cited:q}"
        " --text {input.text:q} --out {output.numbers:q} &> {log:q}"


rule write_tables:
    """Write the paper's tables, such as the results of each data set and the ledger."""
    input:
        **CITED,
        config=ancient(written_config),
    output:
        tables=expand(f"{GENERATED}/{{table}}.tex", table=PAPER_TABLES),
        provenance=expand(f"{GENERATED}/{{table}}.json", table=PAPER_TABLES),
    log:
        f"{LOGS}/paper/tables.log",
    benchmark:
        f"{BENCHMARKS}/paper/tables.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library(
            "paper.tables",
            *{
                f"paper.tables.{paper_tables.table_module(name)}"
                for name in PAPER_TABLES
            },
        ),
        key=digest(STUDY["protocols"]),
        cited=flags("config", *CITED),
        tables=PAPER_TABLES,
    shell:
        "python -m flatreg.paper.tables {params.tables:q} {params.cited:q}"
        " --out {output.tables:q} &> {log:q}"


rule draw_flowcharts:
    """Draw flow charts of the models and of a training step from the config."""
    input:
        config=ancient(written_config),
        manifests=MANIFESTS,
    output:
        models=f"{GENERATED}/flow_models.tex",
        step=f"{GENERATED}/flow_step.tex",
        provenance=expand(f"{GENERATED}/flow_{{chart}}.json", chart=["models", "step"]),
    log:
        f"{LOGS}/paper/flow_models.log",
    benchmark:
        f"{BENCHMARKS}/paper/flow_models.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.flowcharts"),
        key=digest(STUDY["protocols"]),
    shell:
        "python -m flatreg.paper.flowcharts --config {input.config:q}"
        " --manifests {input.manifests:q} --models {output.models:q} --step {output.step:q}"
        " &> {log:q}"


rule compile_paper:
    """Compile the paper; a typed number, an unused number or an undefined reference fails."""
    input:
        text=str(PAPER / "main.tex"),
        references=str(PAPER / "references.bib"),
        generated=expand(f"{GENERATED}/{{name}}.tex", name=WRITTEN),
        provenance=expand(f"{GENERATED}/{{name}}.json", name=WRITTEN),
        figures=[path for path in FIGURES if path.endswith(".pdf")],
    output:
        pdf=report(
            PDF,
            caption="../report/paper.rst",
            category="Paper",
            labels={"document": "the paper"},
        ),
    log:
        f"{LOGS}/paper/main.log",
    benchmark:
        f"{BENCHMARKS}/paper/main.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.compile"),
        key=digest([WRITTEN, *DRAWN]),
    shell:
        "python -m flatreg.paper.compile --text {input.text:q} --references {input.references:q}"
        " --generated {input.generated:q} --provenance {input.provenance:q}"
        " --figures {input.figures:q} --out {output.pdf:q} &> {log:q}"
