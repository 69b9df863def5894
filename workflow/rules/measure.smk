# Purpose: measure the curvature of every trained model, and the loss around some.
# Inputs: metrics.json and params.npz of runs, and the data they were trained on
# Outputs: curvature.json of every run, surfaces/{dataset}.npz


rule measure_curvature:
    """Measure tr(H), tr(H^2) and the largest eigenvalue of one run, on training and test data."""
    input:
        config=ancient(CONFIG),
        data=data_file,
        metrics=f"{RESULTS}/{RUN}/metrics.json",
        params=f"{RESULTS}/{RUN}/params.npz",
    output:
        curvature=f"{RESULTS}/{RUN}/curvature.json",
    log:
        f"{LOGS}/{RUN}/curvature.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/curvature.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(2),
    params:
        library=library("measure"),
        compiled=COMPILED,
        key=digest(measure_settings(STUDY)),
        run=subpath(input.metrics, parent=True),
    shell:
        "python -m flatreg.measure --config {input.config:q} --run {params.run:q}"
        " --data {input.data:q} --threads {threads}"
        " --compiled {params.compiled:q} --out {output.curvature:q} &> {log:q}"


rule map_surface:
    """Compute the loss between and around the lambda = 0 and lambda > 0 solutions of one seed."""
    input:
        config=ancient(CONFIG),
        data=lambda wildcards: data_file(surface_runs(wildcards.dataset)[0]),
        runs=lambda wildcards: run_files(
            "metrics.json", surface_runs(wildcards.dataset)
        ),
        params=lambda wildcards: run_files(
            "params.npz", surface_runs(wildcards.dataset)
        ),
    output:
        surface=f"{RESULTS}/surfaces/{{dataset}}.npz",
    log:
        f"{LOGS}/surfaces/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/surfaces/{{dataset}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(5),
    params:
        library=library("surface"),
        compiled=COMPILED,
        key=digest([STUDY["surface"], STUDY["measure"]["subset_seed"]]),
        folders=lambda wildcards, input: [os.path.dirname(path) for path in input.runs],
    shell:
        "python -m flatreg.surface --config {input.config:q} --plain {params.folders[0]:q}"
        " --penalized {params.folders[1]:q} --data {input.data:q} --threads {threads}"
        " --compiled {params.compiled:q}"
        " --out {output.surface:q} &> {log:q}"
