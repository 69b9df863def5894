# Purpose: train every run of the study.
# Inputs: data/{source}.npz or features/{source}-{reading}.npz
# Outputs: selection/{protocol}/{dataset}.json where a protocol searches,
#     runs/{protocol}/{dataset}/lambda-{lambda}/seed-{seed}/: metrics.json epochs.csv
#     params.npz timing.json facts.json


rule select_rates:
    """Choose learning rate and weight decay on the validation split at lambda 0."""
    input:
        config=ancient(CONFIG),
        data=data_file,
    output:
        selection=SELECTION,
    log:
        f"{LOGS}/selection/{{protocol}}/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/selection/{{protocol}}/{{dataset}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(8),
    params:
        library=library_of_runs(lambda wildcards: [wildcards], "train.select"),
        compiled=COMPILED,
        key=lambda w: selection_key(cell_settings(STUDY, w.protocol, w.dataset)),
        checkpoints=CHECKPOINTS,
    shell:
        "python -m flatreg.train.select --config {input.config:q}"
        " --protocol {wildcards.protocol:q} --dataset {wildcards.dataset:q}"
        " --data {input.data:q} --checkpoints {params.checkpoints:q} --threads {threads}"
        " --compiled {params.compiled:q} --out {output.selection:q} &> {log:q}"


rule train_model:
    """Train one run; after an interruption, resume from its last checkpoint."""
    input:
        config=ancient(CONFIG),
        data=data_file,
        selection=selection_file,
    output:
        metrics=f"{RESULTS}/{RUN}/metrics.json",
        epochs=f"{RESULTS}/{RUN}/epochs.csv",
        params=f"{RESULTS}/{RUN}/params.npz",
        timing=f"{RESULTS}/{RUN}/timing.json",
        facts=f"{RESULTS}/{RUN}/facts.json",
    log:
        f"{LOGS}/{RUN}/metrics.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/metrics.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    # A resource, not a param: the checkpoint interval changes no number, so a change of it must not
    # train again.
    resources:
        mem_mb=growing(2500),
        runtime=growing(8),
        checkpoint_every=STUDY["checkpoint"]["every_epochs"],
    params:
        library=library_of_runs(lambda wildcards: [wildcards], "train"),
        compiled=COMPILED,
        key=lambda wildcards: settings_key(settings(STUDY, named_run(wildcards))),
        selected=lambda wildcards, input: (
            ["--selected", input.selection] if input.selection else []
        ),
        checkpoints=CHECKPOINTS,
        out=subpath(output.metrics, parent=True),
    shell:
        "python -m flatreg.train --config {input.config:q}"
        " --protocol {wildcards.protocol:q} --dataset {wildcards.dataset:q}"
        " --lambda {wildcards.lam:q} --seed {wildcards.seed:q}"
        " --data {input.data:q} {params.selected:q} --checkpoints {params.checkpoints:q}"
        " --checkpoint-every {resources.checkpoint_every} --threads {threads}"
        " --compiled {params.compiled:q}"
        " --out {params.out:q} &> {log:q}"
