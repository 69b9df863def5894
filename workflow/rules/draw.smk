# Purpose: draw the study's figures, as PDF for the paper and SVG for the report.
# Inputs: tables/*.csv, surfaces/{dataset}.npz, the original's times, bench/results/cost.json
# Outputs: figures/: accuracy flatness flatness_and_accuracy correlations grim learning_curves
#     interpolation surface cost cost_growth


localrules:
    draw_accuracy,
    draw_flatness,
    draw_flatness_and_accuracy,
    draw_correlations,
    draw_grim,
    draw_learning_curves,
    draw_interpolation,
    draw_surface,
    draw_cost,
    draw_cost_growth,


rule draw_accuracy:
    """Draw test accuracy against lambda, every seed a dot."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
    output:
        pdf=f"{RESULTS}/figures/accuracy.pdf",
        svg=report(
            f"{RESULTS}/figures/accuracy.svg",
            caption="../report/accuracy.rst",
            category="Results",
            labels={"figure": "test accuracy against lambda"},
        ),
    log:
        f"{LOGS}/figures/accuracy.log",
    benchmark:
        f"{BENCHMARKS}/figures/accuracy.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
        alpha=STUDY["analysis"]["alpha"],
    shell:
        "python -m flatreg.figures accuracy --config {input.config:q} --metrics {input.metrics:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_flatness:
    """Draw the measured tr(H^2) against lambda, every seed a dot."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
    output:
        pdf=f"{RESULTS}/figures/flatness.pdf",
        svg=report(
            f"{RESULTS}/figures/flatness.svg",
            caption="../report/flatness.rst",
            category="Results",
            labels={"figure": "flatness against lambda"},
        ),
    log:
        f"{LOGS}/figures/flatness.log",
    benchmark:
        f"{BENCHMARKS}/figures/flatness.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
        alpha=STUDY["analysis"]["alpha"],
    shell:
        "python -m flatreg.figures flatness --config {input.config:q} --metrics {input.metrics:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_flatness_and_accuracy:
    """Draw test accuracy against tr(H^2), every run a dot."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
    output:
        pdf=f"{RESULTS}/figures/flatness_and_accuracy.pdf",
        svg=report(
            f"{RESULTS}/figures/flatness_and_accuracy.svg",
            caption="../report/flatness_and_accuracy.rst",
            category="Evidence",
            labels={"figure": "accuracy against flatness"},
        ),
    log:
        f"{LOGS}/figures/flatness_and_accuracy.log",
    benchmark:
        f"{BENCHMARKS}/figures/flatness_and_accuracy.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
        protocol=STUDY["surface"]["protocol"],
    shell:
        "python -m flatreg.figures flatness_and_accuracy --config {input.config:q} --metrics {input.metrics:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_correlations:
    """Draw how each measure of flatness goes with test accuracy."""
    input:
        config=ancient(CONFIG),
        correlations=f"{RESULTS}/tables/correlations.csv",
    output:
        pdf=f"{RESULTS}/figures/correlations.pdf",
        svg=report(
            f"{RESULTS}/figures/correlations.svg",
            caption="../report/correlations_figure.rst",
            category="Evidence",
            labels={"figure": "flatness and accuracy, correlated"},
        ),
    log:
        f"{LOGS}/figures/correlations.log",
    benchmark:
        f"{BENCHMARKS}/figures/correlations.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
        protocol=STUDY["surface"]["protocol"],
    shell:
        "python -m flatreg.figures correlations --config {input.config:q} --correlations {input.correlations:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_grim:
    """Draw which test-set sizes the reported accuracies can come from."""
    input:
        denominators=f"{RESULTS}/tables/grim_denominators.csv",
    output:
        pdf=f"{RESULTS}/figures/grim.pdf",
        svg=report(
            f"{RESULTS}/figures/grim.svg",
            caption="../report/grim_figure.rst",
            category="Evidence",
            labels={"figure": "test sets that the reported means allow"},
        ),
    log:
        f"{LOGS}/figures/grim.log",
    benchmark:
        f"{BENCHMARKS}/figures/grim.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
    shell:
        "python -m flatreg.figures grim --denominators {input.denominators:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_learning_curves:
    """Draw training and validation loss over the epochs."""
    input:
        config=ancient(CONFIG),
        epochs=f"{RESULTS}/tables/epochs.csv",
    output:
        pdf=f"{RESULTS}/figures/learning_curves.pdf",
        svg=report(
            f"{RESULTS}/figures/learning_curves.svg",
            caption="../report/learning_curves.rst",
            category="Training",
            labels={"figure": "learning curves"},
        ),
    log:
        f"{LOGS}/figures/learning_curves.log",
    benchmark:
        f"{BENCHMARKS}/figures/learning_curves.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
    shell:
        "python -m flatreg.figures learning_curves --config {input.config:q} --epochs {input.epochs:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_interpolation:
    """Draw loss and accuracy along the line between two solutions of one seed."""
    input:
        config=ancient(CONFIG),
        surfaces=SURFACES,
    output:
        pdf=f"{RESULTS}/figures/interpolation.pdf",
        svg=report(
            f"{RESULTS}/figures/interpolation.svg",
            caption="../report/interpolation.rst",
            category="Loss surfaces",
            labels={"figure": "line between two solutions"},
        ),
    log:
        f"{LOGS}/figures/interpolation.log",
    benchmark:
        f"{BENCHMARKS}/figures/interpolation.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
        lam=STUDY["surface"]["lambda"],
    shell:
        "python -m flatreg.figures interpolation --config {input.config:q} --surfaces {input.surfaces:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_surface:
    """Draw the loss around two solutions of one seed, on the same axes."""
    input:
        config=ancient(CONFIG),
        surfaces=SURFACES,
    output:
        pdf=f"{RESULTS}/figures/surface.pdf",
        svg=report(
            f"{RESULTS}/figures/surface.svg",
            caption="../report/surface.rst",
            category="Loss surfaces",
            labels={"figure": "planes around two solutions"},
        ),
    log:
        f"{LOGS}/figures/surface.log",
    benchmark:
        f"{BENCHMARKS}/figures/surface.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
        lam=STUDY["surface"]["lambda"],
    shell:
        "python -m flatreg.figures surface --config {input.config:q} --surfaces {input.surfaces:q}"
        " --out {output.pdf:q} &> {log:q}"


rule draw_cost:
    """Draw what the penalty costs, beside the original's figures and its peers."""
    input:
        config=ancient(CONFIG),
        times=f"{RESULTS}/tables/times.csv",
        original=ORIGINAL,
        bench=BENCH,
    output:
        pdf=f"{RESULTS}/figures/cost.pdf",
        svg=report(
            f"{RESULTS}/figures/cost.svg",
            caption="../report/cost.rst",
            category="Training",
            labels={"figure": "cost of the penalty"},
        ),
    log:
        f"{LOGS}/figures/cost.log",
    benchmark:
        f"{BENCHMARKS}/figures/cost.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
    shell:
        "python -m flatreg.figures cost --config {input.config:q} --times {input.times:q} --original {input.original:q}"
        " --bench {input.bench:q} --out {output.pdf:q} &> {log:q}"


rule draw_cost_growth:
    """Draw how the cost of the penalty grows with width, batch, probes and depth."""
    input:
        bench=BENCH,
    output:
        pdf=f"{RESULTS}/figures/cost_growth.pdf",
        svg=report(
            f"{RESULTS}/figures/cost_growth.svg",
            caption="../report/cost_growth.rst",
            category="Training",
            labels={"figure": "growth of the penalty's cost"},
        ),
    log:
        f"{LOGS}/figures/cost_growth.log",
    benchmark:
        f"{BENCHMARKS}/figures/cost_growth.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        library=library("figures"),
    shell:
        "python -m flatreg.figures cost_growth --bench {input.bench:q} --out {output.pdf:q}"
        " &> {log:q}"
