# Purpose: train every run of the study.
# Inputs: data/{source}.npz or features/{source}-{reading}.npz
# Outputs: selection/{protocol}/{dataset}/lambda-{lambda}.json where a protocol searches,
#     runs/{protocol}/{dataset}/lambda-{lambda}/seed-{seed}/: metrics.json epochs.csv
#     params.npz last.npz timing.json facts.json


rule select_rates:
    """Choose learning rate and weight decay on the validation split at one lambda."""
    input:
        config=ancient(written_config),
        data=data_file,
    output:
        selection=SELECTION,
    log:
        f"{LOGS}/{SEARCH}.log",
    benchmark:
        f"{BENCHMARKS}/{SEARCH}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(30),
        gpu=0,
    params:
        library=library_of_runs(lambda wildcards: [wildcards], "train.select"),
        compiled=COMPILED,
        key=lambda w: selection_key(cell_settings(STUDY, w.protocol, w.dataset), w.lam),
        checkpoints=CHECKPOINTS,
    shell:
        "python -m flatreg.train.select --config {input.config:q}"
        " --protocol {wildcards.protocol:q} --dataset {wildcards.dataset:q}"
        " --lambda {wildcards.lam:q} --data {input.data:q} --checkpoints {params.checkpoints:q}"
        " --threads {threads} --gpus {resources.gpu} --compiled {params.compiled:q}"
        " --out {output.selection:q} &> {log:q}"


# `train_model` trains one run; each block of runs has a rule without wildcards, which is preferred.
for block in [SINGLE, *BLOCKS["train"]]:

    rule:
        """Train runs of one protocol and data set, each from its last checkpoint if it has one."""
        name:
            rule_of("train", block)
        input:
            config=ancient(written_config),
            data=of_job(block, data_file),
            selection=of_job(block, selection_file),
        output:
            metrics=run_files("metrics.json", block.runs),
            epochs=run_files("epochs.csv", block.runs),
            params=run_files("params.npz", block.runs),
            last=run_files("last.npz", block.runs),
            timing=run_files("timing.json", block.runs),
            facts=run_files("facts.json", block.runs),
        log:
            f"{LOGS}/{place_of_job('train', block)}.log",
        benchmark:
            f"{BENCHMARKS}/{place_of_job('train', block)}.tsv"
        wildcard_constraints:
            protocol=single_runs("train"),
        conda:
            "../../envs/environment.yaml"
        threads: 1
        # Resources, not params: the checkpoint interval and the ledger change no number, so a change
        # of them must not train again.
        resources:
            mem_mb=growing(2500),
            runtime=growing(4 + 4 * len(block.runs)),
            gpu=0,
            checkpoint_every=STUDY["checkpoint"]["every_epochs"],
            checkpoint_seconds=STUDY["checkpoint"]["every_seconds"],
            ledger=LEDGER or "",
        params:
            library=library_of_job(block, "train"),
            compiled=COMPILED,
            key=of_job(block, training_key),
            selected=lambda wildcards, input: (
                ["--selected", input.selection] if input.selection else []
            ),
            checkpoints=CHECKPOINTS,
            logs=LOGS,
        shell:
            "python -m flatreg.train --config {input.config:q} --runs {output.metrics:q}"
            " --logs {params.logs:q} --data {input.data:q} {params.selected:q}"
            " --checkpoints {params.checkpoints:q} --checkpoint-every {resources.checkpoint_every}"
            " --checkpoint-seconds {resources.checkpoint_seconds} --threads {threads}"
            " --gpus {resources.gpu} --compiled {params.compiled:q}"
            " --ledger {resources.ledger:q} &> {log:q}"
