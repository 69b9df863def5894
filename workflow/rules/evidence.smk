# Purpose: what the runs say of the original's claims, and how sure that is.
# Inputs: tables/{metrics,times}.csv, metrics.json and params.npz of runs, the ledger of claims,
#     paper/original.json
# Outputs: flatness/{protocol}/{dataset}/lambda-{lambda}.json; tables/: flatness.csv correlations.csv
#     reparametrization.csv estimates.csv variance.csv grim.csv grim_denominators.csv triples.csv
#     checks.csv calibration.csv overall.csv test_sets.csv claims.csv claim_runs.csv


localrules:
    correlate_flatness,
    decompose_variance,
    pool_datasets,
    inspect_reported,
    judge_claims,


rule measure_flatness:
    """Measure how flat the solutions of a cell are by measures beside curvature, all seeds at once."""
    input:
        config=ancient(CONFIG),
        data=data_file,
        metrics=lambda wildcards: run_files("metrics.json", cell_runs(wildcards)),
        params=lambda wildcards: run_files("params.npz", cell_runs(wildcards)),
    output:
        flatness=FLATNESS,
    log:
        f"{LOGS}/flatness/{{protocol}}/{{dataset}}/lambda-{{lam}}.log",
    benchmark:
        f"{BENCHMARKS}/flatness/{{protocol}}/{{dataset}}/lambda-{{lam}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2500),
        runtime=growing(10),
    params:
        library=library("flatness"),
        compiled=COMPILED,
        key=digest(measure_settings(STUDY)),
        runs=lambda wildcards, input: [os.path.dirname(path) for path in input.metrics],
    shell:
        "python -m flatreg.flatness --config {input.config:q} --runs {params.runs:q}"
        " --data {input.data:q} --threads {threads} --compiled {params.compiled:q}"
        " --out {output.flatness:q} &> {log:q}"


rule correlate_flatness:
    """Correlate each measure of flatness with accuracy and with the generalization gap."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
        cells=expand(FLATNESS, zip, **cells()),
    output:
        flatness=report(
            f"{RESULTS}/tables/flatness.csv",
            caption="../report/flatness_measures.rst",
            category="Evidence",
            labels={"table": "flatness of every run"},
        ),
        correlations=report(
            f"{RESULTS}/tables/correlations.csv",
            caption="../report/correlations.rst",
            category="Evidence",
            labels={"table": "flatness and generalization"},
        ),
        checksums=expand(
            f"{RESULTS}/tables/{{name}}.csv.sha256", name=["flatness", "correlations"]
        ),
    log:
        f"{LOGS}/tables/correlations.log",
    benchmark:
        f"{BENCHMARKS}/tables/correlations.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("evidence.generalization"),
        key=digest([STUDY["analysis"], STUDY["protocols"]]),
    shell:
        "python -m flatreg.evidence.generalization --config {input.config:q} --metrics {input.metrics:q}"
        " --cells {input.cells:q} --out-flatness {output.flatness:q}"
        " --out {output.correlations:q} &> {log:q}"


rule rescale_layers:
    """Rescale the layers of one perceptron, which leaves its function alone, and measure its flatness anew."""
    input:
        config=ancient(CONFIG),
        data=lambda wildcards: data_file(rescaled_run()[0]),
        metrics=lambda wildcards: run_files("metrics.json", rescaled_run()),
        params=lambda wildcards: run_files("params.npz", rescaled_run()),
    output:
        reparametrization=report(
            f"{RESULTS}/tables/reparametrization.csv",
            caption="../report/reparametrization.rst",
            category="Evidence",
            labels={"table": "flatness of one function, rescaled"},
        ),
        checksums=expand(
            f"{RESULTS}/tables/{{name}}.csv.sha256", name=["reparametrization"]
        ),
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
        library=library("evidence.reparametrization"),
        compiled=COMPILED,
        key=digest(measure_settings(STUDY)),
        run=lambda wildcards, input: os.path.dirname(input.metrics[0]),
    shell:
        "python -m flatreg.evidence.reparametrization --config {input.config:q}"
        " --run {params.run:q} --data {input.data:q} --threads {threads}"
        " --compiled {params.compiled:q} --out {output.reparametrization:q} &> {log:q}"


rule check_estimator:
    """Hold estimates of tr(H^2) against its closed form, on mini-batches of trained softmax regressions."""
    input:
        config=ancient(CONFIG),
        data=data_file(ESTIMATED[0]) if ESTIMATED else [],
        metrics=run_files("metrics.json", ESTIMATED),
        params=run_files("params.npz", ESTIMATED),
    output:
        estimates=report(
            f"{RESULTS}/tables/estimates.csv",
            caption="../report/estimates.rst",
            category="Evidence",
            labels={"table": "estimates over the exact value"},
        ),
        checksums=expand(f"{RESULTS}/tables/{{name}}.csv.sha256", name=["estimates"]),
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
        library=library("evidence.estimates"),
        compiled=COMPILED,
        key=digest(STUDY["estimates"]),
        runs=lambda wildcards, input: [os.path.dirname(path) for path in input.metrics],
        data=lambda wildcards, input: ["--data", input.data] if input.data else [],
    shell:
        "python -m flatreg.evidence.estimates --config {input.config:q} --runs {params.runs:q}"
        " {params.data:q} --threads {threads} --compiled {params.compiled:q}"
        " --out {output.estimates:q} &> {log:q}"


rule decompose_variance:
    """Tell how much of the spread over seeds each source of randomness makes."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
        manifests=expand(f"{RESULTS}/data/{{source}}.json", source=sources()),
    output:
        variance=report(
            f"{RESULTS}/tables/variance.csv",
            caption="../report/variance.rst",
            category="Evidence",
            labels={"table": "spread by source"},
        ),
        checksums=expand(f"{RESULTS}/tables/{{name}}.csv.sha256", name=["variance"]),
    log:
        f"{LOGS}/tables/variance.log",
    benchmark:
        f"{BENCHMARKS}/tables/variance.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("evidence.variance"),
        key=digest(STUDY["protocols"]),
    shell:
        "python -m flatreg.evidence.variance --config {input.config:q} --metrics {input.metrics:q}"
        " --manifests {input.manifests:q} --out {output.variance:q} &> {log:q}"


rule pool_datasets:
    """Take all data sets of a protocol together, and tell what the size of each test set leaves open."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
        manifests=expand(f"{RESULTS}/data/{{source}}.json", source=sources()),
    output:
        overall=report(
            f"{RESULTS}/tables/overall.csv",
            caption="../report/overall.rst",
            category="Evidence",
            labels={"table": "all data sets at once"},
        ),
        test_sets=report(
            f"{RESULTS}/tables/test_sets.csv",
            caption="../report/test_sets.rst",
            category="Evidence",
            labels={"table": "what test sets leave open"},
        ),
        checksums=expand(
            f"{RESULTS}/tables/{{name}}.csv.sha256", name=["overall", "test_sets"]
        ),
    log:
        f"{LOGS}/tables/overall.log",
    benchmark:
        f"{BENCHMARKS}/tables/overall.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("evidence.overall"),
        key=digest([STUDY["analysis"], STUDY["protocols"]]),
    shell:
        "python -m flatreg.evidence.overall --config {input.config:q} --metrics {input.metrics:q}"
        " --manifests {input.manifests:q} --out {output.overall:q}"
        " --out-test-sets {output.test_sets:q} &> {log:q}"


rule inspect_reported:
    """Hold the numbers that the original reports against what test sets, chance and constants allow."""
    input:
        original=ORIGINAL,
        manifests=expand(f"{RESULTS}/data/{{source}}.json", source=sources()),
    output:
        grim=report(
            f"{RESULTS}/tables/grim.csv",
            caption="../report/grim.rst",
            category="Evidence",
            labels={"table": "test sets that the reported means allow"},
        ),
        denominators=f"{RESULTS}/tables/grim_denominators.csv",
        triples=f"{RESULTS}/tables/triples.csv",
        checks=report(
            f"{RESULTS}/tables/checks.csv",
            caption="../report/checks.rst",
            category="Evidence",
            labels={"table": "the reported numbers, one by one"},
        ),
        checksums=expand(
            f"{RESULTS}/tables/{{name}}.csv.sha256",
            name=["grim", "grim_denominators", "triples", "checks"],
        ),
    log:
        f"{LOGS}/tables/grim.log",
    benchmark:
        f"{BENCHMARKS}/tables/grim.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("evidence.forensics"),
        alpha=STUDY["analysis"]["alpha"],
    shell:
        "python -m flatreg.evidence.forensics --original {input.original:q}"
        " --manifests {input.manifests:q} --out-grim {output.grim:q}"
        " --out-denominators {output.denominators:q} --out-triples {output.triples:q}"
        " --out-checks {output.checks:q} --alpha {params.alpha:q} &> {log:q}"


rule calibrate_intervals:
    """Draw many samples, and tell how often each kind of interval holds the true value."""
    output:
        calibration=report(
            f"{RESULTS}/tables/calibration.csv",
            caption="../report/calibration.rst",
            category="Evidence",
            labels={"table": "coverage of the intervals"},
        ),
        checksums=expand(f"{RESULTS}/tables/{{name}}.csv.sha256", name=["calibration"]),
    log:
        f"{LOGS}/tables/calibration.log",
    benchmark:
        f"{BENCHMARKS}/tables/calibration.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        library=library("evidence.calibration"),
        rounds=2000,
    shell:
        "python -m flatreg.evidence.calibration --rounds {params.rounds:q} --seed 0"
        " --out {output.calibration:q} &> {log:q}"


rule judge_claims:
    """Give every claim of the ledger a verdict, and name the runs behind it."""
    input:
        config=ancient(CONFIG),
        metrics=f"{RESULTS}/tables/metrics.csv",
        times=f"{RESULTS}/tables/times.csv",
        estimates=f"{RESULTS}/tables/estimates.csv",
        ledger=LEDGER or [],
        schema=LEDGER_SCHEMA,
    output:
        claims=report(
            f"{RESULTS}/tables/claims.csv",
            caption="../report/claims.rst",
            category="Evidence",
            labels={"table": "the claims and their verdicts"},
        ),
        runs=f"{RESULTS}/tables/claim_runs.csv",
        checksums=expand(
            f"{RESULTS}/tables/{{name}}.csv.sha256", name=["claims", "claim_runs"]
        ),
    log:
        f"{LOGS}/tables/claims.log",
    benchmark:
        f"{BENCHMARKS}/tables/claims.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("evidence.judge"),
        key=digest(STUDY["analysis"]),
    shell:
        "python -m flatreg.evidence.judge --config {input.config:q} --ledger {input.ledger:q}"
        " --schema {input.schema:q} --metrics {input.metrics:q} --times {input.times:q}"
        " --estimates {input.estimates:q} --out-claims {output.claims:q}"
        " --out-runs {output.runs:q} &> {log:q}"
