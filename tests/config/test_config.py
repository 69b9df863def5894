"""The config: every mistake is one line, every field that changes a number changes a key."""

from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import yaml

from flatreg import config, models, penalty
from flatreg.config import EpochMeasure, Run
from flatreg.config.complete import expanded
from flatreg.config.registries import ESTIMATORS
from flatreg.data.sources import SOURCES
from flatreg.disk.files import check_writable
from flatreg.errors import UserError
from flatreg.penalty import hutchinson

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_PATH = ROOT / "workflow/schemas/config.schema.json"
SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
EXPANDED = expanded(SCHEMA)
TRAINING = expanded(SCHEMA["$defs"]["dataset"] | {"$defs": SCHEMA["$defs"]})

# Left out of every key and param, each for its reason.
CHANGES_NO_NUMBER = {
    "paths.results": "moves files",
    "paths.generated": "moves files",
    "paths.pdf": "moves files",
    "checkpoint.every_epochs": "a resumed run ends in the bytes of an unbroken one",
    "verify.runs": "read by flatreg.publish.verify, after the runs",
    "verify.tolerance.accuracy": "read by flatreg.publish.verify, after the runs",
    "verify.tolerance.relative": "read by flatreg.publish.verify, after the runs",
}
# Fields that name runs: a change is another run, with a file of its own.
NAMES_RUNS = {"lambdas", "seeds"}


def study() -> dict[str, Any]:
    """A small config that has a data set of each kind, written as a user would."""
    return {
        "paths": {"results": "results", "generated": "paper/generated", "pdf": "paper.pdf"},
        "surface": {"protocol": "stated", "lambda": "0.1", "seed": 0},
        "protocols": {
            "stated": {
                "lambdas": ["0", "0.1"],
                "seeds": [0, 1],
                "training": {"epochs": 5, "weight_decay": 0.001},
                "datasets": {
                    "breast_cancer": {
                        "model": {"name": "mlp", "hidden": [8], "dropout": 0.1},
                        "batch": 32,
                        "learning_rate": 0.01,
                    },
                    "digits": {
                        "model": {"name": "logistic_regression"},
                        "batch": 32,
                        "weight_decay": None,
                        "search": {"learning_rate": [0.1, 0.2], "weight_decay": [0.1, 0.2]},
                    },
                    "posts": {
                        "source": "newsgroups20",
                        "reading": "stripped",
                        "model": {"name": "logistic_regression"},
                        "batch": 32,
                        "learning_rate": 0.01,
                    },
                },
            }
        },
    }


def changed(where: str, value: Any, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """A config with one key, by its path, set to a value."""
    result = copy.deepcopy(study() if given is None else given)
    *above, last = where.split(".")
    part = result
    for key in above:
        part = part.setdefault(key, {})
    part[last] = value
    return result


def load(given: dict[str, Any]) -> dict[str, Any]:
    return config.load(given, SCHEMA)


def message(given: dict[str, Any]) -> str:
    """The one line that a config is refused with."""
    with pytest.raises(UserError) as caught:
        load(given)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


# ── What it becomes ───────────────────────────────────────────────────────────


def test_the_study_is_valid_and_has_the_runs_it_says():
    resolved = config.read([ROOT / "config.yaml"], SCHEMA_PATH)
    runs = config.runs(resolved)
    assert len([run for run in runs if run.protocol == "stated"]) == 4 * 5 * 3
    assert len(runs) == len(set(runs))
    assert {run.lam for run in runs} == {"0", "0.001", "0.01", "0.1", "1"}


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


# ── What a key depends on ─────────────────────────────────────────────────────


def leaves(schema: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field of a schema that holds no further fields, with its path."""
    for name, field in schema.get("properties", {}).items():
        path = f"{where}.{name}".lstrip(".")
        if "properties" in field:
            yield from leaves(field, path)
        else:
            yield path, field


def other_value(name: str, field: dict[str, Any], value: Any) -> Any:
    """A valid value of a field that is not the one it has."""
    special = {
        "hidden": [9],
        "optimizer_arguments": {"b1": 0.8},
        "learning_rate": [0.3] if field.get("type") == "array" else 0.3,
        "weight_decay": [0.3] if field.get("type") == "array" else 0.3,
        "clip_norm": 2.5,
        "patience": 3,
        "outputs": 1,
        "test_examples": 20,
        "varies": ["order"],
        "sharpness_radii": [0.2],
        "adaptive_radii": [0.2],
        "extends": "stated",
        "claims": "other.yaml",
    }
    if name in special:
        return special[name]
    if "enum" in field:
        return next(choice for choice in field["enum"] if choice not in (value, None))
    if isinstance(value, bool):
        return not value
    return value + 1 if field["type"] == "integer" else value / 2 + 0.001


def value_at(resolved: dict[str, Any], where: str) -> Any:
    for key in where.split("."):
        resolved = resolved.get(key)
    return resolved


def all_keys(resolved: dict[str, Any]) -> dict[Run, str]:
    return {
        run: config.settings_key(config.settings(resolved, run)) for run in config.runs(resolved)
    }


# Where a training field can be changed so that the config stays valid.
HOST = {"search": "digits", "reading": "posts", "source": "breast_cancer"}


@pytest.mark.parametrize("where", [path for path, _ in leaves(TRAINING) if path not in NAMES_RUNS])
def test_each_training_field_changes_the_key_of_its_cell_alone(where):
    field = dict(leaves(TRAINING))[where]
    host = HOST.get(where.split(".")[0], "breast_cancer")
    before = load(study())
    entry = before["protocols"]["stated"]["datasets"][host]
    if where == "model.name":
        given = changed(f"protocols.stated.datasets.{host}.model", {"name": "logistic_regression"})
    else:
        value = other_value(where.split(".")[-1], field, value_at(entry, where))
        given = changed(f"protocols.stated.datasets.{host}.{where}", value)
    after, before = all_keys(load(given)), all_keys(before)
    moved = {run for run in before if before[run] != after[run]}
    expected = {run for run in before if run.dataset == host}
    if where.startswith("penalty."):
        expected = {run for run in expected if run.lam != "0"}
    assert moved == expected


@pytest.mark.parametrize(
    ("where", "value", "dataset"),
    [
        ("data.breast_cancer.test_fraction", 0.3, "breast_cancer"),
        ("data.breast_cancer.split_seed", 1, "breast_cancer"),
        ("data.digits.test_fraction", 0.3, "digits"),
        ("data.digits.split_seed", 1, "digits"),
        ("data.text.vocabulary", 500, "posts"),
        ("data.text.sublinear_tf", False, "posts"),
        ("measure.epoch_examples", 64, None),
        ("measure.epoch_probes", 6, None),
    ],
)
def test_data_and_epoch_fields_change_the_keys_of_the_runs_they_concern(where, value, dataset):
    before, after = all_keys(load(study())), all_keys(load(changed(where, value)))
    moved = {run for run in before if before[run] != after[run]}
    assert moved == {run for run in before if dataset in (None, run.dataset)}


def digests(resolved: dict[str, Any]) -> list[Any]:
    """All that tells a rule of the config: the runs' keys, and what is in other rules' params."""
    sections = [resolved["surface"], resolved["analysis"], config.measure_settings(resolved)]
    return [all_keys(resolved), *map(config.digest, sections)]


def test_no_field_of_the_schema_is_forgotten():
    """Each is seen by a run's key, by the digest of its section, or is listed above."""
    resolved = load(study())
    seen = 0
    for where, field in leaves(EXPANDED):
        if where == "protocols" or where in CHANGES_NO_NUMBER:
            continue
        if where in ("surface.protocol", "surface.lambda", "surface.seed"):
            continue  # other runs' files are the rule's inputs then
        if where == "claims" or where.startswith("estimates."):
            continue  # the ledger, and other runs' files, are the rule's inputs then
        value = other_value(where.split(".")[-1], field, value_at(resolved, where))
        other = load(changed(where, value))
        assert digests(resolved) != digests(other), where
        seen += 1
    assert seen > 20
    protocol = SCHEMA["properties"]["protocols"]["additionalProperties"]["properties"]
    assert set(protocol) == NAMES_RUNS | {"extends", "training", "datasets"}


def test_keys_of_all_runs_differ():
    keys = all_keys(load(study()))
    assert len(set(keys.values())) == len(keys)


def test_a_key_does_not_depend_on_how_a_number_or_mapping_is_written():
    one = load(changed("protocols.stated.training.weight_decay", 1))
    other = load(changed("protocols.stated.training.weight_decay", 1.0))
    assert all_keys(one) == all_keys(other)
    assert config.digest({"a": 1, "b": 2}) == config.digest({"b": 2, "a": 1})


def test_a_key_is_the_same_in_every_process():
    code = "from flatreg import config; print(config.digest({'b': [1, 0.5], 'a': None}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == config.digest({"a": None, "b": [1, 0.5]})


def test_a_search_does_not_depend_on_penalty_and_measurement():
    def keys(given):
        return config.selection_key(config.cell_settings(load(given), "stated", "digits"))

    where = "protocols.stated.datasets.digits"
    assert keys(study()) == keys(changed(f"{where}.penalty", {"probes": 9}))
    assert keys(study()) == keys(changed("measure.epoch_probes", 9))
    assert keys(study()) == keys(changed("protocols.stated.lambdas", ["0", "3", "0.1"]))
    assert keys(study()) != keys(changed(f"{where}.batch", 16))
    assert keys(study()) != keys(changed(f"{where}.search.weight_decay", [0.5]))


# ── What the schema names is there ────────────────────────────────────────────


def test_every_field_is_described():
    def fields(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(schema, dict):
            for name, part in schema.items():
                if name == "properties":
                    yield from ((f"{where}.{key}", field) for key, field in part.items())
                if name not in ("if", "then"):
                    yield from fields(part, f"{where}.{name}")

    found = list(fields(EXPANDED, ""))
    assert len(found) > 70
    for where, field in found:
        assert len(field["description"]) > 4, where


def test_no_section_takes_unknown_keys_but_arguments_of_optax():
    def sections(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(schema, dict):
            if "object" in str(schema.get("type")):
                yield where, schema
            for name, part in schema.items():
                yield from sections(part, f"{where}.{name}")

    free = {where.split(".")[-1] for where, s in sections(EXPANDED, "") if _takes_anything(s)}
    assert free == {"optimizer_arguments", "schedule"}


def _takes_anything(section: dict[str, Any]) -> bool:
    """Whatever its key: of the arguments of optax, all that is no text."""
    arguments = {"type": ["number", "boolean", "null"]}
    return "$ref" not in section and section.get("additionalProperties", True) in (True, arguments)


def test_models_estimators_and_sources_are_the_librarys():
    fields = TRAINING["properties"]
    assert set(fields["model"]["properties"]["name"]["enum"]) == set(models.NAMES)
    assert set(fields["source"]["enum"]) == set(SOURCES)
    chosen = fields["penalty"]["properties"]
    assert set(chosen["estimator"]["enum"]) == set(ESTIMATORS)
    assert set(chosen["distribution"]["enum"]) == set(hutchinson.DISTRIBUTIONS)
    for scaling in chosen["scaling"]["enum"]:
        assert penalty.scale(1.0, batch=2, interval=3, scaling=scaling) > 0


@pytest.mark.parametrize("name", TRAINING["properties"]["optimizer"]["enum"])
def test_each_optimizer_of_the_schema_takes_a_step(name):
    optimizer = getattr(optax, name)(learning_rate=0.1)
    params = {"w": jnp.ones((2, 2))}
    gradient = {"w": jnp.ones((2, 2))}
    _, state = optimizer.update(gradient, optimizer.init(params), params)
    updates, _ = optimizer.update(gradient, state, params)
    assert np.isfinite(updates["w"]).all()
    assert np.any(updates["w"] != 0)


def test_the_schema_has_every_optimizer_that_needs_only_a_gradient():
    others = {
        "lbfgs": "needs the loss",
        "noisy_sgd": "needs a key",
        "optimistic_adam": "deprecated",
        "optimistic_adam_v2": "alpha and beta beside the learning rate",
    }
    found = {
        name
        for name, value in vars(optax).items()
        if inspect.isfunction(value) or isinstance(value, partial)
        if not name.startswith(("_", "scale_by"))
        if "learning_rate" in inspect.signature(value).parameters
    }
    assert found - set(others) == set(TRAINING["properties"]["optimizer"]["enum"])


SCHEDULE_ARGUMENTS = {
    "exponential_decay": {"decay_rate": 0.5},
    "linear_schedule": {"end_value": 0.0},
    "polynomial_schedule": {"end_value": 0.0, "power": 2},
    "warmup_constant_schedule": {"init_value": 0.0, "warmup_epochs": 1},
    "warmup_cosine_decay_schedule": {"init_value": 0.0, "warmup_epochs": 1},
    "warmup_exponential_decay_schedule": {"init_value": 0.0, "warmup_epochs": 1, "decay_rate": 1},
}


@pytest.mark.parametrize("name", TRAINING["properties"]["schedule"]["properties"]["name"]["enum"])
def test_each_schedule_of_the_schema_can_be_built(name):
    schedule = {"name": name} | SCHEDULE_ARGUMENTS.get(name, {})
    config.check_optimizers(load(changed("protocols.stated.training.schedule", schedule)))


# ── What is refused ───────────────────────────────────────────────────────────

NAN, INF = float("nan"), float("inf")
CELL = "protocols.stated.datasets.breast_cancer"
MISTAKES = [
    ("path", "x", 'unknown key "path"; did you mean paths?'),
    ("paths.result", "x", 'paths: unknown key "result"; did you mean results?'),
    ("paths.results", 3, "paths.results: must be text, not 3"),
    ("paths.results", "a'; rm -rf b #", "may hold letters, digits and . _ - / only"),
    ("paths.results", "a\nb", "may hold letters"),
    ("paths.results", "{a}", "may hold letters"),
    ("data.brest_cancer", {}, "did you mean breast_cancer?"),
    ("data.text.vocabulary", 0, "data.text.vocabulary: must be at least 1, not 0"),
    ("data.digits.test_fraction", 1, "must be below 1, not 1"),
    ("measure.max_probe", 5, "did you mean max_probes?"),
    ("measure.examples", True, "must be a whole number, not true"),
    ("measure.examples", 10.0, "must be a whole number, not 10.0"),
    ("measure.target_relative_error", NAN, "must be a number, not NaN"),
    ("surface.protocol", "stted", "did you mean stated?"),
    ("surface.lambda", "0", "has no lambda"),
    ("surface.lambda", "0.10", "has no lambda"),
    ("surface.seed", 7, "has no seed 7 to show"),
    ("surface", None, "'surface' is missing"),
    ("checkpoint.every_epochs", 0, "must be at least 1"),
    ("analysis.alpha", 0, "must be above 0, not 0"),
    ("verify.runs", [{"protocol": "stated"}], "verify.runs[0]: 'dataset' is missing"),
    (
        "verify.runs",
        [{"protocol": "stated", "dataset": "cifar100", "lambda": "0", "seed": 0}],
        "has no run stated/cifar100/lambda-0/seed-0",
    ),
    ("protocols", {}, "protocols: must not be empty"),
    ("protocols", ["stated"], "protocols: must be a section of keys"),
    ("protocols.Stated two", {}, "is no name"),
    ("protocols.stated\n", {}, "is no name"),
    ("protocols.stated", None, "protocols: must not be empty"),
    ("protocols.stated.lambda", ["0"], "did you mean lambdas?"),
    ("protocols.stated.lambdas", ["0", "-0.1"], 'lambda "-0.1" is negative'),
    ("protocols.stated.lambdas", ["0", "nan"], 'lambda "nan" is not a finite number'),
    ("protocols.stated.lambdas", ["0", "inf"], 'lambda "inf" is not a finite number'),
    ("protocols.stated.lambdas", ["0", "1e999"], "not a finite number"),
    ("protocols.stated.lambdas", ["0", "much"], 'lambda "much" is not a number'),
    ("protocols.stated.lambdas", ["0", "0.1\n"], "is oddly written"),
    ("protocols.stated.lambdas", ["0", "1_0"], "is oddly written"),
    ("protocols.stated.lambdas", ["0", 0.1], 'must be text, not 0.1; write it in quotes: "0.1"'),
    ("protocols.stated.lambdas", ["0", "0.1", "0.1"], "given twice"),
    ("protocols.stated.lambdas", ["0", "0.1", "0.10"], "'0.1' and '0.10' are one lambda"),
    ("protocols.stated.lambdas", ["0", "0.0"], "given twice"),
    ("protocols.stated.lambdas", ["0.1", "1"], 'lambda "0", the plain training, is missing'),
    ("protocols.stated.lambdas", ["0.0", "0.1"], 'lambda "0", the plain training, is missing'),
    ("protocols.stated.lambdas", [], "must not be empty"),
    (f"{CELL}.lambdas", ["0.1"], "the plain training, is missing"),
    (f"{CELL}.lambdas", ["0", "1"], 'stated/breast_cancer has no lambda "0.1" to show'),
    (f"{CELL}.seeds", [1], "stated/breast_cancer has no seed 0 to show"),
    ("protocols.stated.training.seeds", [1], "training.seeds: has no place here"),
    ("protocols.stated.seeds", [0, 1, 0], "0 is there twice"),
    ("protocols.stated.seeds", [-1], "must be at least 0, not -1"),
    ("protocols.stated.seeds", [1.5], "must be a whole number"),
    ("protocols.stated.seeds", 3, "must be a list, not 3"),
    ("protocols.stated.seeds", [], "must not be empty"),
    ("protocols.stated.training.optimizr", "adam", 'training: unknown key "optimizr"'),
    ("protocols.stated.training.optimizer", "adamm", 'did you mean "adam"?'),
    ("protocols.stated.training.schedule", {"name": "cosine"}, '"cosine" is unknown'),
    ("protocols.stated.training.schedule", {}, "'name' is missing"),
    ("protocols.stated.datasets.cifar10", {}, "unknown data set; did you mean cifar100?"),
    (f"{CELL}.source", "breast_cancr", 'did you mean "breast_cancer"?'),
    (f"{CELL}.model.name", "mpl", 'known are "logistic_regression", "mlp"'),
    (f"{CELL}.model.width", 3, 'unknown key "width"'),
    (f"{CELL}.model", {"name": "mlp", "hidden": [3]}, "'dropout' is missing"),
    (f"{CELL}.model", {"name": "logistic_regression", "hidden": [3]}, 'unknown key "hidden"'),
    (f"{CELL}.model.hidden", [0], "model.hidden[0]: must be at least 1"),
    (f"{CELL}.model.dropout", 1, "must be below 1"),
    (f"{CELL}.model", None, "'model' is missing"),
    (f"{CELL}.batch", 0, "batch: must be at least 1, not 0"),
    (f"{CELL}.epochs", "ten", 'must be a whole number, not "ten"'),
    (f"{CELL}.learning_rate", 0, "learning_rate: must be above 0, not 0"),
    (f"{CELL}.learning_rate", -0.1, "must be above 0"),
    (f"{CELL}.learning_rate", NAN, "must be a number or null, not NaN"),
    (f"{CELL}.learning_rate", INF, "must be a number or null, not Infinity"),
    (f"{CELL}.learning_rate", "1e-3", "YAML reads 1.0e-3 as a number"),
    (f"{CELL}.learning_rate", None, "learning_rate: missing; give it or a `search`"),
    (f"{CELL}.weight_decay", -1, "must be at least 0"),
    (f"{CELL}.search", {"learning_rate": [0.1], "weight_decay": [0]}, "given and searched"),
    (f"{CELL}.search", {"learning_rate": [0], "weight_decay": [0]}, "must be above 0"),
    (f"{CELL}.search", {"learning_rate": [], "weight_decay": [0]}, "must not be empty"),
    (f"{CELL}.clip_norm", 0, "must be above 0"),
    (f"{CELL}.selection", "best", 'known are "last", "best_validation"'),
    (f"{CELL}.reading", "whole", "only texts have one"),
    (f"{CELL}.penalty.probes", 0, "penalty.probes: must be at least 1, not 0"),
    (f"{CELL}.penalty.interval", 0, "penalty.interval: must be at least 1, not 0"),
    (f"{CELL}.penalty.estimator", "autodif", '"autodif" is unknown; known are "auto", "autodiff"'),
    (f"{CELL}.penalty.distribution", "gaussian", '"gaussian" is unknown'),
    (f"{CELL}.convergence.patience", 0, "must be at least 1"),
    ("protocols.stated.datasets.posts.reading", None, "missing; write `whole` or `stripped`"),
    (
        "protocols.stated.datasets.posts.source",
        "imdb_reviews",
        "imdb_reviews has no stripped one; write `whole`",
    ),
    ("protocols.stated.datasets.posts.inputs", "unit", "write `raw`"),
    (f"{CELL}.source", 7, "7 is unknown"),
    (f"{CELL}.model", "x" * 500, 'must be a section of keys, not "xxx'),
]


@pytest.mark.parametrize(("where", "value", "words"), MISTAKES)
def test_a_mistake_is_one_line_that_says_where_and_what(where, value, words):
    line = message(changed(where, value))
    assert line.startswith("config: ")
    assert words in line


@pytest.mark.parametrize("where", ["protocols.2024", "paths.on", "protocols.stated.datasets.7"])
def test_a_key_that_yaml_reads_as_no_text_is_refused(where):
    given = study()
    *above, last = where.split(".")
    part = given
    for key in above:
        part = part[key]
    part[yaml.safe_load(last)] = {}
    assert f"key {yaml.safe_load(last)!r} is not text" in str(_refusal(given))


def _refusal(given: dict[Any, Any]) -> UserError:
    with pytest.raises(UserError) as caught:
        load(given)
    return caught.value


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("optimizer_arguments", {"beta": 1}, "beta"),
        ("schedule", {"name": "exponential_decay"}, "decay_rate"),
        ("schedule", {"name": "cosine_decay_schedule", "decay_speed": 1}, "decay_speed"),
    ],
)
def test_arguments_that_optax_refuses_are_told_with_their_data_set(where, value, words):
    resolved = load(changed(f"{CELL}.{where}", value))
    with pytest.raises(UserError, match=words) as caught:
        config.check_optimizers(resolved)
    assert str(caught.value).startswith(f"config: {CELL}: ")


def test_results_that_cannot_be_made_are_refused(tmp_path):
    check_writable(tmp_path / "new/folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        check_writable(tmp_path / "file/results")


# ── The command ───────────────────────────────────────────────────────────────


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
        ("- a", "holds no mapping"),
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
