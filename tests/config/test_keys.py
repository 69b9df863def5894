"""The fields on which the keys of runs, searches and measurements depend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from flatreg import config
from tests.config.small import (
    CHANGES_NO_NUMBER,
    EXPANDED,
    NAMES_RUNS,
    SCHEMA,
    TRAINING,
    all_keys,
    changed,
    load,
    study,
)


def leaves(schema: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field of a schema that holds no further fields, with its path."""
    for name, field in schema.get("properties", {}).items():
        path = f"{where}.{name}".lstrip(".")
        if "properties" in field:
            yield from leaves(field, path)
        else:
            yield path, field


def other_value(name: str, field: dict[str, Any], value: Any) -> Any:
    """A valid value of a field, other than its current one."""
    special = {
        "hidden": [9],
        "optimizer_arguments": {"b1": 0.8},
        "learning_rate": [0.3] if field.get("type") == "array" else 0.3,
        "weight_decay": [0.3] if field.get("type") == "array" else 0.3,
        "clip_norm": 2.5,
        "patience": 3,
        "outputs": 1,
        "train_examples": 200,
        "test_examples": 20,
        "points_2d": 23,
        "varies": ["order"],
        "seeds": [77, 78],
        "sharpness_radii": [0.2],
        "adaptive_radii": [0.2],
        "extends": "stated",
        "claims": "other.yaml",
        "questions": "other.yaml",
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


# Where a training field can be changed so that the config stays valid.
HOST = {"search": "digits", "inputs": "digits", "reading": "posts", "source": "breast_cancer"}


# Only for a protocol that extends another: tests/test_protocols.py.
EXTENDING = {"search.lambda"}


@pytest.mark.parametrize(
    "where", [path for path, _ in leaves(TRAINING) if path not in NAMES_RUNS | EXTENDING]
)
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
    """All digests of the config that rules see: the runs' keys, and other rules' params."""
    named = (resolved[name] for name in ("surface", "analysis", "calibration"))
    sections = [*named, config.measure_settings(resolved)]
    return [all_keys(resolved), *map(config.digest, sections)]


def test_no_field_of_the_schema_is_forgotten():
    """Each field changes a run's key or the digest of its section, or is listed above."""
    resolved = load(study())
    seen = 0
    for where, field in leaves(EXPANDED):
        if where == "protocols" or where in CHANGES_NO_NUMBER:
            continue
        if where in ("surface.protocol", "surface.lambda", "surface.seed"):
            continue  # other runs' files are the rule's inputs then
        if where in ("claims", "questions") or where.startswith(("estimates.", "sample_sizes.")):
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


def test_a_search_depends_on_its_lambda_and_at_0_on_no_penalty():
    def key(given, lam):
        return config.selection_key(config.cell_settings(load(given), "stated", "digits"), lam)

    where = "protocols.stated.datasets.digits"
    assert key(study(), "0") != key(study(), "1")
    for change in (("measure.epoch_probes", 9), ("protocols.stated.lambdas", ["0", "3", "0.1"])):
        assert key(study(), "1") == key(changed(*change), "1")
    penalty = changed(f"{where}.penalty", {"probes": 9})
    assert key(study(), "0") == key(penalty, "0")
    assert key(study(), "1") != key(penalty, "1")
    for change in ((f"{where}.batch", 16), (f"{where}.search.weight_decay", [0.5])):
        assert key(study(), "0") != key(changed(*change), "0")
