"""The config: each mistake is one line, and each field that changes a number changes a key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flatreg import config
from flatreg.config import EpochMeasure, Run
from flatreg.errors import UserError
from tests.config.small import CELL, ROOT, SCHEMA_PATH, all_keys, changed, load, study


def test_the_study_is_valid_and_has_the_runs_it_says():
    resolved = config.read([ROOT / "config.yaml"], SCHEMA_PATH)
    runs = config.runs(resolved)
    assert len([run for run in runs if run.protocol == "stated"]) == 4 * 5 * 3
    assert len(runs) == len(set(runs))
    as_reported = {"0", "0.001", "0.01", "0.1", "1"}
    for protocol in ("stated", "literal"):
        assert {run.lam for run in runs if run.protocol == protocol} == as_reported


def test_the_deciding_protocols_vary_their_splits_and_search_each_lambda():
    resolved = config.read([ROOT / "config.yaml"], SCHEMA_PATH)
    for protocol, dataset, lam in config.cells(resolved):
        if protocol not in ("literal", "every_step", "adam"):
            continue
        cell = config.cell_settings(resolved, protocol, dataset)
        test_split = {"test_split"} if dataset == "breast_cancer" else set()
        assert {"split"} | test_split <= set(cell.varies)
        assert config.search_of(resolved, protocol, dataset, lam).lam == lam
        assert len(cell.search.seeds) == 2


def test_the_curves_of_dose_and_response_have_enough_strengths_and_seeds():
    every_step = config.read([ROOT / "config.yaml"], SCHEMA_PATH)["protocols"]["every_step"]
    for dataset, training in every_step["datasets"].items():
        assert sum(float(lam) > 0 for lam in training["lambdas"]) >= 8, dataset
        assert len(training["seeds"]) >= (30 if dataset == "breast_cancer" else 10)


def test_the_demo_overlay_takes_data_sets_away_and_adds_one():
    paths = [ROOT / "config.yaml", ROOT / "profiles/demo/study.yaml"]
    resolved = config.read(paths, SCHEMA_PATH)
    for protocol in resolved["protocols"].values():
        assert {"breast_cancer"} <= set(protocol["datasets"]) <= {"breast_cancer", "digits"}
    assert resolved["paths"]["results"] == "results/demo"


def test_loading_again_changes_nothing():
    resolved = load(study())
    assert load(resolved) == resolved


def test_loading_leaves_what_it_is_given_alone():
    given = study()
    load(given)
    assert given == study()


def test_own_fields_win_over_shared_ones_and_defaults_fill_the_rest():
    given = changed("protocols.stated.training.penalty", {"probes": 7, "interval": 3})
    given = changed("protocols.stated.datasets.posts.penalty", {"interval": 4}, given)
    penalties = {
        name: chosen["penalty"]
        for name, chosen in load(given)["protocols"]["stated"]["datasets"].items()
    }
    assert penalties["posts"] == {
        "estimator": "auto",
        "probes": 7,
        "distribution": "rademacher",
        "interval": 4,
        "scaling": "per_application",
        "warmup": 0,
        "decoupled": False,
    }
    assert penalties["digits"]["interval"] == 3


def test_null_takes_away_what_is_shared():
    given = changed("protocols.stated.training.clip_norm", 1.0)
    given = changed("protocols.stated.datasets.posts.clip_norm", None, given)
    entries = load(given)["protocols"]["stated"]["datasets"]
    assert entries["posts"]["clip_norm"] is None
    assert entries["digits"]["clip_norm"] == 1.0


def test_null_takes_away_a_protocol_and_a_data_set():
    given = changed("protocols.other", None)
    given = changed("protocols.stated.datasets.posts", None, given)
    assert list(load(given)["protocols"]) == ["stated"]
    assert {run.dataset for run in config.runs(load(given))} == {"breast_cancer", "digits"}


def test_shared_model_can_be_replaced_by_another():
    given = changed(
        "protocols.stated.training.model", {"name": "mlp", "hidden": [4], "dropout": 0.5}
    )
    model = {"name": "logistic_regression", "hidden": None, "dropout": None}
    for name in ("digits", "posts"):
        given = changed(f"protocols.stated.datasets.{name}.model", model, given)
    entries = load(given)["protocols"]["stated"]["datasets"]
    assert entries["posts"]["model"] == {"name": "logistic_regression"}


def test_a_data_set_may_have_lambdas_and_seeds_of_its_own():
    before = load(study())
    given = changed("protocols.stated.datasets.digits.lambdas", ["0", "2"])
    given = changed("protocols.stated.datasets.posts.seeds", [5], given)
    given = changed("surface.protocol", "other", given)
    given["protocols"]["other"] = study()["protocols"]["stated"]
    after = load(given)
    found = {run[1:] for run in config.runs(after) if run.protocol == "stated"}
    assert found == (
        {("breast_cancer", lam, seed) for lam in ("0", "0.1") for seed in (0, 1)}
        | {("digits", lam, seed) for lam in ("0", "2") for seed in (0, 1)}
        | {("posts", lam, 5) for lam in ("0", "0.1")}
    )
    shared = set(config.runs(before)) & set(config.runs(after))
    assert len(shared) == 6
    for run in shared:
        assert all_keys(before)[run] == all_keys(after)[run]


def test_settings_name_the_run_and_hold_only_the_data_fields_of_its_source():
    resolved = load(study())
    settings = config.settings(resolved, Run("stated", "posts", "0.1", 1))
    assert (settings.lam, settings.seed) == ("0.1", 1)
    assert settings.data == {"vocabulary": 10000, "sublinear_tf": True}
    assert settings.epoch_measure == EpochMeasure(examples=128, probes=5)


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (Run("statd", "posts", "0.1", 0), "did you mean stated?"),
        (Run("stated", "post", "0.1", 0), "did you mean posts?"),
        (Run("stated", "posts", "0.10", 0), "lambda 0.10 is not one of"),
        (Run("stated", "posts", "0.1", 9), "seed 9 is not one of"),
    ],
)
def test_settings_of_no_run_are_refused(run, word):
    with pytest.raises(UserError, match=word.replace("?", r"\?")):
        config.settings(load(study()), run)


def run_command(*paths: Path, out: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flatreg.config", *map(str, paths)]
    command += ["--schema", str(SCHEMA_PATH), "--out", str(out)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def test_the_command_lays_files_over_each_other(tmp_path):
    out = tmp_path / "config.json"
    done = run_command(ROOT / "config.yaml", ROOT / "profiles/demo/study.yaml", out=out)
    assert (done.returncode, done.stderr) == (0, "")
    paths = [ROOT / "config.yaml", ROOT / "profiles/demo/study.yaml"]
    assert json.loads(out.read_text()) == config.read(paths, SCHEMA_PATH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not YAML"),
        ("- a", "is not a mapping of keys"),
        ("pathz: {}", "unknown key"),
        (yaml.safe_dump(changed(f"{CELL}.optimizer_arguments", {"beta": 1})), "beta"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path, text, words):
    out = tmp_path / "config.json"
    done = run_command(Path("-"), out=out, text=text)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_config_file_is_named(tmp_path):
    done = run_command(tmp_path / "none.yaml", out=tmp_path / "config.json")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "none.yaml" in done.stderr
