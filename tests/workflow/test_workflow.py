"""Real dry runs of the workflow: an edit re-runs what depends on it and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from .conftest import TRIGGERS

pytestmark = pytest.mark.slow

PROFILES = ("default", "slurm", "gpu", "gpu-local", "cluster-generic")
READ_ALL_RUNS = {"collect_tables", "summarize_cells", "compare_lambdas"}
RUN = re.compile(r"runs/(\w+)/(\w+)/lambda-([^/]+)/seed-(\d+)/")


def rules(jobs) -> Counter:
    """Number of jobs of each rule; a block's rule has the name of the rule of one run."""
    return Counter(job.rule for job in jobs)


def runs_of(jobs, rule: str) -> set[tuple[str, ...]]:
    """Protocol, data set, lambda and seed of each run in the planned jobs of a rule."""
    return {RUN.search(path).groups() for job in jobs if job.rule == rule for path in job.output}


def searches_of(jobs):
    """The results of searches that jobs write."""
    return sorted(path for job in jobs if job.rule == "select_rates" for path in job.output)


def stated(dataset: str, **fields) -> dict:
    return {"protocols": {"stated": {"datasets": {dataset: fields}}}}


# ── What an edit re-runs ──────────────────────────────────────────────────────


def test_a_finished_study_has_nothing_to_do(made):
    assert made.plan() == []


def forget_checksums(project) -> None:
    """As for runs that were measured in another block: Snakemake knows no checksums of these."""
    shutil.rmtree(project.folder / ".snakemake" / "metadata")


def test_runs_that_were_measured_one_by_one_are_not_measured_again(made):
    """Each was trained after the one before was measured, as when a study is resumed."""
    forget_checksums(made)
    folders = sorted((made.folder / "results/runs").glob("*/*/*/*"))
    assert len(folders) > 8
    now = time.time()
    for number, folder in enumerate(folders):
        for file in folder.iterdir():
            later = file.name.startswith(("curvature", "flatness"))
            os.utime(file, (now + 2 * number + later,) * 2)
    assert runs_of(made.plan(), "measure_model") == set()


def test_a_run_that_was_trained_again_is_measured_alone(made):
    """The others of its block are left as they are."""
    forget_checksums(made)
    run = "stated", "breast_cancer", "0", "0"
    later = time.time() + 10
    for file in (made.folder / "results/runs/stated/breast_cancer/lambda-0/seed-0").iterdir():
        if not file.name.startswith(("curvature", "flatness")):
            os.utime(file, (later, later))
    assert runs_of(made.plan(), "measure_model") == {run}


@pytest.mark.parametrize(
    ("edited", "rebuilt"),
    [
        (
            "results/runs/stated/breast_cancer/lambda-0/seed-0/metrics.json",
            {"collect_tables", "measure_model", "write_numbers", "compile_paper"},
        ),
        ("results/tables/metrics.csv", {"summarize_cells", "write_numbers", "compile_paper"}),
        ("results/tables/correlations.csv", {"draw_correlations", "write_numbers"}),
    ],
)
def test_a_number_that_was_edited_by_hand_rebuilds_what_shows_it(made, edited, rebuilt):
    made.append(edited, "0.99\n")
    assert rebuilt <= set(rules(made.plan()))


def test_one_lambda_of_one_data_set_reruns_its_cell_and_its_readers(made):
    jobs = made.plan(study=stated("breast_cancer", lambdas=["0", "0.2"]))
    cell = {("stated", "breast_cancer", "0.2", seed) for seed in "01"}
    assert runs_of(jobs, "train_model") == cell
    assert runs_of(jobs, "measure_model") == cell
    assert set(rules(jobs)) > READ_ALL_RUNS
    assert not set(rules(jobs)) & {"prepare_data", "extract_features", "select_rates"}
    assert "map_surface" not in rules(jobs)


def test_one_more_seed_runs_only_that_seed(made):
    jobs = made.plan(study={"protocols": {"stated": {"seeds": [0, 1, 2]}}})
    trained = runs_of(jobs, "train_model")
    assert {(protocol, seed) for protocol, _, _, seed in trained} == {("stated", "2")}
    assert len(trained) == 2 * 2


def test_a_seed_that_is_left_out_leaves_the_tables(made):
    jobs = made.plan(study={"protocols": {"stated": {"seeds": [0]}}})
    assert set(rules(jobs)) > READ_ALL_RUNS | {"execute_notebook", "compile_paper"}
    assert not set(rules(jobs)) & {"train_model", "measure_model"}


def test_the_profiles_repeat_jobs_for_the_same_reasons(root):
    profiles = [root / f"profiles/{name}/config.yaml" for name in PROFILES]
    found = [yaml.safe_load(path.read_text())["rerun-triggers"] for path in profiles]
    assert found == [TRIGGERS[1:]] * len(PROFILES)


def test_with_gpus_what_trains_and_measures_takes_one_each(fresh):
    """And a block takes all runs that share a program, which go side by side."""
    profile = yaml.safe_load((fresh.folder / "profiles/gpu-local/config.yaml").read_text())
    options = ["--resources", *profile["resources"], "--set-resources", *profile["set-resources"]]
    jobs = fresh.plan(*options)
    for job in jobs:
        takes = job.rule in {"select_rates", "train_model", "measure_model"}
        assert ("gpu=1" in job.resources.split(", ")) == takes, job.rule
    assert runs_of(jobs, "train_model") == runs_of(fresh.plan(), "train_model")


def test_a_run_that_is_asked_for_by_name_is_trained_alone(fresh):
    named = "results/runs/stated/breast_cancer/lambda-0.1/seed-1/curvature.json"
    jobs = fresh.plan(named)
    run = {("stated", "breast_cancer", "0.1", "1")}
    assert [job.rule for job in jobs] == ["prepare_data", "train_model", "measure_model"]
    assert runs_of(jobs, "train_model") == runs_of(jobs, "measure_model") == run


def test_a_run_that_is_lost_is_trained_alone(made):
    lost = "runs/stated/breast_cancer/lambda-0.1/seed-1/metrics.json"
    (made.folder / "results" / lost).unlink()
    assert runs_of(made.plan(), "train_model") == {("stated", "breast_cancer", "0.1", "1")}


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_another_size_of_blocks_repeats_nothing(made, lanes):
    assert made.plan(study={"lanes": lanes}) == []


@pytest.mark.parametrize(("lanes", "blocks"), [(1, 0), (2, 4), (None, 4)])
def test_a_job_takes_as_many_runs_as_lanes(fresh, lanes, blocks):
    """Four cells of two runs; the two searched data sets have a run per cell."""
    jobs = fresh.plan(study={"lanes": lanes})
    trained = [job for job in jobs if job.rule == "train_model"]
    assert sum(len(runs_of([job], job.rule)) > 1 for job in trained) == blocks
    assert len(runs_of(jobs, "train_model")) == 2 * 2 * 2 + 2


def test_a_setting_of_the_penalty_spares_plain_training_and_its_searches(made):
    penalty = {"penalty": {"probes": 9}}
    study = {"protocols": {name: {"training": penalty} for name in ("stated", "literal")}}
    jobs = made.plan(study=study)
    assert {run[2] for run in runs_of(jobs, "train_model")} == {"0.1"}
    assert searches_of(jobs) == ["results/selection/literal/breast_cancer/lambda-0.1.json"]


def test_a_training_setting_of_a_searched_data_set_searches_anew(made):
    study = {"protocols": {"literal": {"datasets": {"breast_cancer": {"epochs": 3}}}}}
    jobs = made.plan(study=study)
    assert rules(jobs)["select_rates"] == 2
    trained = runs_of(jobs, "train_model")
    assert trained == {("literal", "breast_cancer", lam, "0") for lam in ("0", "0.1")}


def test_a_grid_is_searched_anew_and_a_lambda_more_is_searched_alone(made):
    where = "results/selection/literal/breast_cancer"
    more = {"literal": {"datasets": {"breast_cancer": {"lambdas": ["0", "0.1", "0.2"]}}}}
    jobs = made.plan(study={"protocols": more})
    assert searches_of(jobs) == [f"{where}/lambda-0.2.json"]
    assert runs_of(jobs, "train_model") == {("literal", "breast_cancer", "0.2", "0")}
    wider = {"literal": {"datasets": {"breast_cancer": {"search": {"extensions": 1}}}}}
    assert searches_of(made.plan(study={"protocols": wider})) == [
        *(f"{where}/lambda-{lam}.json" for lam in ("0.1", "0")),
    ]


def test_a_protocol_beside_another_uses_its_searches(fresh):
    """At lambda 0 it searches the same; at others, only if it penalizes the same."""
    beside = {
        "fixed": {"extends": "literal", "training": {"search": {"lambda": "0"}}},
        "own": {"extends": "literal", "lambdas": ["0.1"], "training": {"penalty": {"probes": 9}}},
        "one_cause": {"extends": "literal", "training": {"varies": ["order"]}},
    }
    found = searches_of(fresh.plan(study={"protocols": beside}))
    assert found == [
        *(f"results/selection/literal/breast_cancer/lambda-{lam}.json" for lam in ("0.1", "0")),
        "results/selection/own/breast_cancer/lambda-0.1.json",
    ]


def test_runs_whose_rates_come_from_different_searches_have_different_jobs(fresh):
    """And those of one search share a job, whatever their lambda."""
    lambdas = ["0", "0.1", "0.2"]
    study = {"literal": {"datasets": {"breast_cancer": {"lambdas": lambdas, "seeds": [0, 1]}}}}
    fixed = {"extends": "literal", "lambdas": lambdas, "training": {"search": {"lambda": "0"}}}
    jobs = fresh.plan(study={"protocols": study | {"fixed": fixed}})
    together = [{run[2] for run in runs_of([job], "train_model")} for job in jobs]
    by_protocol = {
        protocol: sorted(
            sorted(lams)
            for job, lams in zip(jobs, together, strict=True)
            if lams and f"runs/{protocol}/" in job.output[0]
        )
        for protocol in ("literal", "fixed")
    }
    assert by_protocol == {
        "literal": [["0"], ["0.1"], ["0.2"]],
        "fixed": [["0"], ["0.1", "0.2"]],
    }


def test_measuring_otherwise_trains_nothing(made):
    jobs = made.plan(study={"measure": {"max_probes": 77}})
    assert len(runs_of(jobs, "measure_model")) == 2 * 2 * 2 + 2
    assert not set(rules(jobs)) & {"prepare_data", "select_rates", "train_model", "map_surface"}


def test_surfaces_drawn_wider_measure_nothing(made):
    jobs = made.plan(study={"surface": {"radius": 2.0}})
    assert {"map_surface", "draw_surface", "draw_interpolation"} <= set(rules(jobs))
    assert not set(rules(jobs)) & {"train_model", "measure_model", "collect_tables"}


def test_another_level_of_the_tests_touches_no_run(made):
    jobs = made.plan(study={"analysis": {"alpha": 0.01}})
    assert {"summarize_cells", "compare_lambdas", "draw_accuracy"} <= set(rules(jobs))
    assert not set(rules(jobs)) & {"train_model", "measure_model", "collect_tables"}


def test_another_vocabulary_reruns_the_texts_alone(made):
    jobs = made.plan(study={"data": {"text": {"vocabulary": 500}}})
    assert rules(jobs)["extract_features"] == 1
    assert "prepare_data" not in rules(jobs)
    assert {run[1] for run in runs_of(jobs, "train_model")} == {"newsgroups20"}


def test_another_split_prepares_that_data_set_anew(made):
    jobs = made.plan(study={"data": {"breast_cancer": {"split_seed": 5}}})
    assert rules(jobs)["prepare_data"] == 1
    assert {run[1] for run in runs_of(jobs, "train_model")} == {"breast_cancer"}


@pytest.mark.parametrize(
    "study",
    [
        {"checkpoint": {"every_epochs": 1, "every_seconds": 0}},
        {"verify": {"tolerance": {"relative": 0.5}}},
    ],
)
def test_what_changes_no_number_reruns_nothing(made, study):
    assert made.plan(study=study) == []


def test_a_caption_reruns_nothing(made):
    captions = sorted((made.folder / "workflow/report").glob("*.rst"))
    assert captions
    for caption in captions:
        made.append(str(caption.relative_to(made.folder)), "\nMore words.\n")
    made.edit("workflow/rules/tables.smk", '"every run"', '"each run"')
    assert made.plan() == []


@pytest.mark.parametrize(
    ("module", "rerun", "spared"),
    [
        (
            "penalty/estimators/gram",
            {"train_model", "select_rates"},
            {"prepare_data", "extract_features"},
        ),
        ("data/sources/breast_cancer", {"prepare_data"}, {"extract_features"}),
        ("measure/landscape", {"map_surface"}, {"train_model", "measure_model"}),
        ("measure/spectrum", {"measure_model"}, {"train_model", "select_rates"}),
        ("tables/compare", {"compare_lambdas"}, {"collect_tables", "measure_model"}),
        ("figures/style", {"draw_accuracy", "draw_cost"}, {"collect_tables", "map_surface"}),
    ],
)
def test_an_edit_of_the_library_reruns_what_is_made_of_it(made, module, rerun, spared):
    made.append(f"src/flatreg/{module}.py", "\nEDITED = True\n")
    planned = set(rules(made.plan()))
    assert rerun <= planned
    assert not spared & planned


def test_an_edit_of_one_model_trains_its_runs_alone(made):
    made.append("src/flatreg/models/logistic_regression.py", "\nEDITED = True\n")
    jobs = made.plan()
    for rule in ("train_model", "measure_model"):
        assert {run[1] for run in runs_of(jobs, rule)} == {"newsgroups20"}
    assert "map_surface" not in rules(jobs), "which is of a perceptron"


def test_an_edit_of_one_source_prepares_it_alone(made):
    made.append("src/flatreg/data/sources/newsgroups20.py", "\nEDITED = True\n")
    jobs = [job for job in made.plan() if job.rule == "prepare_data"]
    assert [Path(job.output[0]).name for job in jobs] == ["newsgroups20.npz"]


# ── How rules are written ─────────────────────────────────────────────────────


def test_logs_and_benchmarks_mirror_the_output(fresh):
    jobs = fresh.plan()
    assert len(rules(jobs)) > 12
    for job in jobs:
        results, _, stem = job.log.removesuffix(".log").partition("logs/")
        assert job.benchmark == f"{results}benchmarks/{stem}.tsv", job
        if job.rule in ("train_model", "measure_model"):
            kind, run = job.rule.partition("_")[0], RUN.search(job.output[0])
            if len(runs_of([job], job.rule)) > 1:
                assert re.fullmatch(rf"blocks/{kind}_{run[1]}_{run[2]}_\d+", stem)
                continue
            mirrored = [f"{Path(job.output[0]).parent}/{kind}".removeprefix(results)]
        elif job.output[0].startswith(results):
            mirrored = [path.rpartition(".")[0].removeprefix(results) for path in job.output]
        else:  # the paper has another folder than the results
            mirrored = [f"paper/{Path(path).stem}" for path in job.output]
            mirrored += ["paper/tables"] * (job.rule == "write_tables")
        assert stem in mirrored, job


def test_every_job_says_how_much_memory_and_time_it_needs(fresh):
    for job in fresh.plan():
        assert re.search(r"\bmem_mb=\d+", job.resources), job
        assert re.search(r"\bruntime=\d+", job.resources), job


def test_every_rule_says_what_it_does(fresh):
    listed = fresh.snakemake("--list-rules").stdout.splitlines()
    assert len(listed) > 12
    for line in listed:
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)* \(.{20,}\)|all \(.+\)", line), line
        assert line.startswith("all ") or "_" in line.split(" ")[0], line


def test_every_rules_file_opens_with_purpose_inputs_outputs(root):
    files = sorted((root / "workflow/rules").glob("*.smk"))
    assert len(files) > 5
    for path in files:
        text = path.read_text(encoding="utf-8")
        opening = text.split("\n\n")[0]
        assert opening.startswith("# Purpose: "), path
        assert "\n# Inputs: " in opening, path
        assert "\n# Outputs: " in opening, path
        for rule in re.split(r"^ *rule\b.*:$", text, flags=re.MULTILINE)[1:]:
            assert "threads: 1" in rule, path
            shell = rule.partition("shell:")[2]
            # A user's value must be quoted in a shell command; numbers need no quotes.
            bare = re.findall(r"\{(?!threads|resources)[^}]*(?<!:q)\}", shell)
            assert bare == [], (path, bare)


def test_the_snakefile_is_short(root):
    assert len((root / "Snakefile").read_text(encoding="utf-8").splitlines()) < 70


def test_snakemake_and_snakefmt_have_nothing_to_say(fresh, root):
    lint = fresh.snakemake("--lint")
    assert lint.returncode == 0, lint.stderr + lint.stdout
    command = [shutil.which("snakefmt", path=Path(sys.executable).parent), "--check"]
    done = subprocess.run(
        [*command, "Snakefile", "workflow/Snakefile", "workflow/rules"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_whole_study_is_planned(root, tmp_path):
    """Use the study's own config, like a bare `snakemake -n`."""
    from .conftest import copy_workflow

    project = copy_workflow(tmp_path)
    (project.folder / "study.yaml").write_text("{}\n", encoding="utf-8")
    assert len(runs_of(project.plan(), "train_model")) >= 60 + 100


# ── Mistakes ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ({"protocls": {}}, "did you mean protocols?"),
        (stated("breast_cancer", epoch=3), "did you mean epochs?"),
        (stated("cifar10"), "did you mean cifar100?"),
        ({"protocols": {"stated": {"lambdas": ["0", "-1"]}}}, "is negative"),
        ({"paths": {"results": "a'; touch b; '"}}, "may hold letters"),
        ({"paths": {"results": "study.yaml/results"}}, "is a file"),
        ({"paths": {"results": "paper"}}, "'paper' would write into the project's own files"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(fresh, study, words):
    done = fresh.snakemake("-n", study=study)
    assert done.returncode != 0
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if not line.startswith("Config file config.yaml is extended")
    ]
    assert len(said) == 1, said
    assert said[0].startswith("error: config: " if words != "is a file" else "error: ")
    assert words in said[0]


def told(done):
    """What Snakemake says, but for a line about config files."""
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if not line.startswith("Config file config.yaml is extended")]


def test_arguments_that_optax_refuses_are_told_though_the_study_ran_before(fresh):
    """Those that it ran with are not tried again."""
    words = ["config.yaml", "study.yaml", "--schema", "workflow/schemas/config.schema.json"]
    words += ["--out", "results/config.json"]
    subprocess.run([sys.executable, "-m", "flatreg.config", *words], cwd=fresh.folder, check=True)
    before = (fresh.folder / "results/config.json").read_bytes()
    study = {"protocols": {"stated": {"training": {"optimizer_arguments": {"epps": 3}}}}}
    where = "error: config: protocols.stated.datasets.newsgroups20.optimizer_arguments"
    assert told(fresh.snakemake("-n", study=study)) == [
        f"{where}: adam has no argument 'epps'; did you mean eps?"
    ]
    assert (fresh.folder / "results/config.json").read_bytes() == before


def test_a_file_that_is_no_config_is_told(tmp_path):
    from .conftest import copy_workflow

    project = copy_workflow(tmp_path)
    project.append("study.yaml", "lanes: 4\nlanes: 5\n")
    (said,) = told(project.snakemake("-n"))
    assert said.startswith(f"error: {project.folder}/study.yaml: line ")
    assert said.endswith(": 'lanes' is there twice; keep one")
    (project.folder / "config.yaml").write_bytes(b"\xff\xfe")
    assert told(project.snakemake("-n")) == [
        "error: config.yaml is not text; save it in UTF-8, or name another file"
    ]


def test_results_that_cannot_be_written_are_one_line():
    """Run as another user: root may write anywhere."""
    code = (
        "import os, sys; from pathlib import Path; from flatreg.disk.files import check_writable;"
        "os.geteuid() == 0 and os.setuid(65534); check_writable(Path(sys.argv[1]) / 'results')"
    )
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder)
        locked.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, cwd="/"
        )
    assert done.returncode == 1
    assert f"cannot write to {folder}; " in done.stderr


def test_a_run_that_the_config_does_not_have_is_refused(fresh):
    done = fresh.snakemake("-n", "results/runs/stated/breast_cancer/lambda-7/seed-0/metrics.json")
    assert done.returncode != 0
    assert "No rule to produce" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
