# Purpose: draw the study's figures, as PDF for the paper and SVG for the report, with one rule per
#     row of flatreg.figures.registry.
# Inputs: tables/*.csv, surfaces/{dataset}.npz, the original's times, bench/results/cost.json,
#     bench/results/frontier.json
# Outputs: figures/{name}.pdf and .svg


for name, figure in DRAWN.items():

    rule:
        """Draw one figure, as PDF for the paper and SVG for the report."""
        name:
            f"draw_{name}"
        input:
            **inputs_of(figure),
            config=ancient(written_config),
        output:
            pdf=f"{RESULTS}/figures/{name}.pdf",
            svg=report(
                f"{RESULTS}/figures/{name}.svg",
                caption="../report/caption.rst",
                category=figure.category,
                labels={"figure": figure.label},
            ),
        log:
            f"{LOGS}/figures/{name}.log",
        benchmark:
            f"{BENCHMARKS}/figures/{name}.tsv"
        localrule: True
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=growing(500),
            runtime=growing(5),
        params:
            library=library("figures", f"figures.{figure.function.partition('.')[0]}"),
            key=fields_key(figure.settings),
            arguments=arguments(name, figure),
        shell:
            "python -m flatreg.figures {params.arguments:q} --out {output.pdf:q} &> {log:q}"
