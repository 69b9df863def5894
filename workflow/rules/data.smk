# Purpose: read each data set once, from the cache of tensorflow-datasets or scikit-learn.
# Inputs: TFDS_DATA_DIR, SCIKIT_LEARN_DATA, or data sets that ship inside scikit-learn
# Outputs: data/{source}.npz, its manifest data/{source}.json,
#     features/{source}-{reading}.npz for texts


rule prepare_data:
    """Write a data set's arrays, and a manifest of their source and contents."""
    input:
        config=ancient(written_config),
    output:
        data=DATA,
        manifest=f"{RESULTS}/data/{{source}}.json",
    log:
        f"{LOGS}/data/{{source}}.log",
    benchmark:
        f"{BENCHMARKS}/data/{{source}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(60),
    params:
        library=lambda wildcards: code.digest(
            "data.prepare", f"data.sources.{wildcards.source}"
        ),
        key=lambda wildcards: data_key(wildcards.source),
    shell:
        "python -m flatreg.data.prepare --config {input.config:q} --dataset {wildcards.source:q}"
        " --out {output.data:q} --manifest {output.manifest:q} &> {log:q}"


rule extract_features:
    """Turn one reading of the texts into TF-IDF features, fit on the training split."""
    input:
        config=ancient(written_config),
        data=DATA,
    output:
        features=FEATURES,
    log:
        f"{LOGS}/features/{{source}}-{{reading}}.log",
    benchmark:
        f"{BENCHMARKS}/features/{{source}}-{{reading}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(10),
    params:
        library=library("data.featurize"),
        key=lambda wildcards: digest(data_settings(STUDY, wildcards.source)),
    shell:
        "python -m flatreg.data.featurize --config {input.config:q} --data {input.data:q}"
        " --reading {wildcards.reading:q} --out {output.features:q} &> {log:q}"
