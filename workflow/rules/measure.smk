# Purpose: measure the flatness of every trained model: curvature, sharpness, loss surfaces of a few
#     models, a network with rescaled layers, tr(H^2) by number of examples, and the estimator
#     against its closed form. Find the test examples with the largest loss.
# Inputs: metrics.json, params.npz and last.npz of runs, and their data
# Outputs: curvature.json and flatness.json of every run, surfaces/{dataset}.npz,
#     examples/{dataset}.npz, sample_sizes/{dataset}.csv,
#     tables/: reparametrization.csv estimates.csv


# `measure_model` measures one run; each block of runs has a rule without wildcards, as for training.
for block in [SINGLE, *BLOCKS["measure"]]:

    rule:
        """Measure the curvature of runs on training and test data, and their flatness otherwise."""
        name:
            rule_of("measure", block)
        input:
            config=ancient(written_config),
            data=of_job(block, data_file),
            metrics=run_files("metrics.json", block.runs),
            params=run_files("params.npz", block.runs),
            last=run_files("last.npz", block.runs),
        output:
            curvature=run_files("curvature.json", block.runs),
            flatness=run_files("flatness.json", block.runs),
        log:
            f"{LOGS}/{place_of_job('measure', block)}.log",
        benchmark:
            f"{BENCHMARKS}/{place_of_job('measure', block)}.tsv"
        wildcard_constraints:
            protocol=single_runs("measure"),
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=growing(2500),
            runtime=growing(4 + len(block.runs)),
            gpu=0,
        params:
            library=library_of_job(block, "measure"),
            compiled=COMPILED,
            key=digest(measure_settings(STUDY)),
        shell:
            "python -m flatreg.measure --config {input.config:q} --runs {input.metrics:q}"
            " --data {input.data:q} --threads {threads} --gpus {resources.gpu}"
            " --compiled {params.compiled:q} &> {log:q}"


rule make_runs:
    """Train and measure every run, without tables, figures and paper."""
    input:
        run_files("metrics.json"),
        run_files("curvature.json"),
    localrule: True
    threads: 1


rule map_surface:
    """Compute the loss between and around one seed's solutions at lambda = 0 and lambda > 0."""
    input:
        unpack(solution_files(lambda wildcards: surface_runs(STUDY, wildcards.dataset))),
        config=ancient(written_config),
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
        library=library_of_runs(
            lambda wildcards: surface_runs(STUDY, wildcards.dataset), "measure.surface"
        ),
        compiled=COMPILED,
        key=digest([STUDY["surface"], STUDY["measure"]["subset_seed"]]),
        runs=run_folders,
    shell:
        "python -m flatreg.measure.surface --config {input.config:q} --plain {params.runs[0]:q}"
        " --penalized {params.runs[1]:q} --data {input.data:q} --threads {threads}"
        " --compiled {params.compiled:q} --out {output.surface:q} &> {log:q}"


rule find_examples:
    """Find the test examples with the largest loss in the first run that did not diverge."""
    input:
        unpack(solution_files(runs_of)),
        config=ancient(written_config),
    output:
        examples=EXAMPLES,
    log:
        f"{LOGS}/examples/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/examples/{{dataset}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(5),
    params:
        library=library_of_runs(runs_of, "measure.examples"),
        compiled=COMPILED,
        key=lambda wildcards: digest(runs_of(wildcards)),
    shell:
        "python -m flatreg.measure.examples --config {input.config:q} --runs {input.metrics:q}"
        " --data {input.data:q} --threads {threads} --compiled {params.compiled:q}"
        " --out {output.examples:q} &> {log:q}"


rule rescale_layers:
    """Rescale one perceptron's layers, which keeps its function, and measure flatness again."""
    input:
        unpack(solution_files(lambda wildcards: RESCALED)),
        config=ancient(written_config),
    output:
        reparametrization=shown_table(
            "reparametrization", "flatness of one function, rescaled"
        ),
        checksums=expand(f"{TABLE}.sha256", name=["reparametrization"]),
    log:
        f"{LOGS}/tables/reparametrization.log",
    benchmark:
        f"{BENCHMARKS}/tables/reparametrization.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(20),
    params:
        library=library_of_runs(lambda wildcards: RESCALED, "measure.rescaling"),
        compiled=COMPILED,
        key=digest(measure_settings(STUDY)),
        runs=run_folders,
    shell:
        "python -m flatreg.measure.rescaling --config {input.config:q} --run {params.runs:q}"
        " --data {input.data:q} --threads {threads} --compiled {params.compiled:q}"
        " --out {output.reparametrization:q} &> {log:q}"


rule measure_sample_sizes:
    """Measure tr(H^2) on samples of several sizes, and on the whole training split."""
    input:
        unpack(solution_files(lambda wildcards: sampled_runs(STUDY, wildcards.dataset))),
        last=lambda wildcards: run_files(
            "last.npz", sampled_runs(STUDY, wildcards.dataset)
        ),
        config=ancient(written_config),
    output:
        sizes=f"{RESULTS}/sample_sizes/{{dataset}}.csv",
        checksum=f"{RESULTS}/sample_sizes/{{dataset}}.csv.sha256",
    log:
        f"{LOGS}/sample_sizes/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/sample_sizes/{{dataset}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        library=library_of_runs(
            lambda wildcards: sampled_runs(STUDY, wildcards.dataset),
            "measure.sample_sizes",
        ),
        compiled=COMPILED,
        key=digest(sampling_settings(STUDY)) if SAMPLED else None,
    shell:
        "python -m flatreg.measure.sample_sizes --config {input.config:q}"
        " --runs {input.metrics:q} --data {input.data:q} --threads {threads}"
        " --compiled {params.compiled:q} --out {output.sizes:q} &> {log:q}"


rule check_estimator:
    """Compare estimates of tr(H^2) with the closed form, on batches of softmax regressions."""
    input:
        unpack(solution_files(lambda wildcards: ESTIMATED)),
        config=ancient(written_config),
    output:
        estimates=shown_table("estimates", "estimates over the exact value"),
        checksums=expand(f"{TABLE}.sha256", name=["estimates"]),
    log:
        f"{LOGS}/tables/estimates.log",
    benchmark:
        f"{BENCHMARKS}/tables/estimates.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(20),
    params:
        library=library_of_runs(lambda wildcards: ESTIMATED, "measure.estimates"),
        compiled=COMPILED,
        key=digest(STUDY["estimates"]),
        runs=run_folders,
        data=lambda wildcards, input: ["--data", input.data] if input.data else [],
    shell:
        "python -m flatreg.measure.estimates --config {input.config:q} --runs {params.runs:q}"
        " {params.data:q} --threads {threads} --compiled {params.compiled:q}"
        " --out {output.estimates:q} &> {log:q}"
