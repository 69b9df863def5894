# Purpose: write the paper's numbers, tables and flow charts, each with a list (JSON) of what
#     made its numbers, and compile it.
# Inputs: tables/*.csv, data/*.json, figures/*.pdf, paper/main.tex, references.bib, original.json,
#     bench/results/cost.json
# Outputs: the folder of generated LaTeX, the PDF


localrules:
    write_numbers,
    write_table,
    write_appendix,
    write_ledger,
    write_variance_table,
    write_forensics_table,
    draw_flowcharts,
    compile_paper,


PAPER = HOME / "paper"
# Files of generated LaTeX; what made the numbers of each is beside it.
WRITTEN = [
    "numbers",
    *dict.fromkeys(f"table_{run.dataset}" for run in RUNS),
    *(["ledger"] if LEDGER else []),
    "table_variance",
    "table_forensics",
    "appendix",
    "flow_models",
    "flow_step",
]


rule write_numbers:
    """Write every number that the paper's text names."""
    input:
        **CITED,
        config=ancient(CONFIG),
        text=str(PAPER / "main.tex"),
    output:
        numbers=f"{GENERATED}/numbers.tex",
        provenance=f"{GENERATED}/numbers.json",
    log:
        f"{LOGS}/paper/numbers.log",
    benchmark:
        f"{BENCHMARKS}/paper/numbers.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.numbers"),
        key=STUDY_KEY,
        cited=cited_flags,
    shell:
        "python -m flatreg.paper.numbers {params.cited:q}"
        " --text {input.text:q} --out {output.numbers:q} &> {log:q}"


rule write_table:
    """Write the table of one data set: the original's numbers, and each protocol's beside them."""
    input:
        **CITED,
        config=ancient(CONFIG),
    output:
        table=f"{GENERATED}/table_{{dataset}}.tex",
        provenance=f"{GENERATED}/table_{{dataset}}.json",
    log:
        f"{LOGS}/paper/table_{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/paper/table_{{dataset}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.result_tables"),
        key=digest(STUDY["protocols"]),
        cited=cited_flags,
    shell:
        "python -m flatreg.paper.result_tables {params.cited:q}"
        " --dataset {wildcards.dataset:q} --out {output.table:q} &> {log:q}"


rule write_appendix:
    """Write the table of all cells, each with the key of its first run."""
    input:
        **CITED,
        config=ancient(CONFIG),
    output:
        table=f"{GENERATED}/appendix.tex",
        provenance=f"{GENERATED}/appendix.json",
    log:
        f"{LOGS}/paper/appendix.log",
    benchmark:
        f"{BENCHMARKS}/paper/appendix.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.appendix"),
        key=digest(STUDY["protocols"]),
        cited=cited_flags,
    shell:
        "python -m flatreg.paper.appendix {params.cited:q}"
        " --out {output.table:q} &> {log:q}"


rule write_ledger:
    """Write the ledger of claims with its verdicts."""
    input:
        **CITED,
        config=ancient(CONFIG),
    output:
        table=f"{GENERATED}/ledger.tex",
        provenance=f"{GENERATED}/ledger.json",
    log:
        f"{LOGS}/paper/ledger.log",
    benchmark:
        f"{BENCHMARKS}/paper/ledger.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.ledger_table"),
        key=digest(STUDY["protocols"]),
        cited=cited_flags,
    shell:
        "python -m flatreg.paper.ledger_table {params.cited:q}"
        " --out {output.table:q} &> {log:q}"


rule write_variance_table:
    """Write the table of the spread by source of randomness."""
    input:
        **CITED,
        config=ancient(CONFIG),
    output:
        table=f"{GENERATED}/table_variance.tex",
        provenance=f"{GENERATED}/table_variance.json",
    log:
        f"{LOGS}/paper/table_variance.log",
    benchmark:
        f"{BENCHMARKS}/paper/table_variance.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.variance_table"),
        key=digest(STUDY["protocols"]),
        cited=cited_flags,
    shell:
        "python -m flatreg.paper.variance_table {params.cited:q}"
        " --out {output.table:q} &> {log:q}"


rule write_forensics_table:
    """Write the table of what the reported numbers are consistent with."""
    input:
        grim=f"{RESULTS}/tables/grim.csv",
        checks=f"{RESULTS}/tables/checks.csv",
        original=ORIGINAL,
    output:
        table=f"{GENERATED}/table_forensics.tex",
        provenance=f"{GENERATED}/table_forensics.json",
    log:
        f"{LOGS}/paper/table_forensics.log",
    benchmark:
        f"{BENCHMARKS}/paper/table_forensics.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.forensics_table"),
    shell:
        "python -m flatreg.paper.forensics_table --grim {input.grim:q} --checks {input.checks:q}"
        " --original {input.original:q} --out {output.table:q} &> {log:q}"


rule draw_flowcharts:
    """Draw the models and a training step, from the config."""
    input:
        config=ancient(CONFIG),
        manifests=CITED["manifests"],
    output:
        models=f"{GENERATED}/flow_models.tex",
        step=f"{GENERATED}/flow_step.tex",
        provenance=expand(f"{GENERATED}/flow_{{chart}}.json", chart=["models", "step"]),
    log:
        f"{LOGS}/paper/flow_models.log",
    benchmark:
        f"{BENCHMARKS}/paper/flow_models.tsv"
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
    """Compile the paper; a number that was typed or not used, or a lost reference, fails."""
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
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("paper.compile"),
    shell:
        "python -m flatreg.paper.compile --text {input.text:q} --references {input.references:q}"
        " --generated {input.generated:q} --provenance {input.provenance:q}"
        " --figures {input.figures:q} --out {output.pdf:q}"
        " &> {log:q}"
