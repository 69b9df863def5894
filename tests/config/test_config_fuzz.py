"""The config under hypothesis: valid configs load, a mistake is one line that names its place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import flatreg.config.__main__ as config_command
from flatreg import command, config
from flatreg.config.registries import definitions
from tests.configs import Place, changed, put, whole_study

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_PATH = ROOT / "workflow/schemas/config.schema.json"
SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
DEFINITIONS = SCHEMA["$defs"] | definitions()


def resolved(schema: Any) -> Any:
    """A schema with its `$ref` resolved, one level deep."""
    if isinstance(schema, dict) and "$ref" in schema:
        target = DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")]
        return resolved(target) | {k: v for k, v in schema.items() if k != "$ref"}
    return schema


def places(value: Any, schema: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """The path of every value of a config, with its schema."""
    schema = resolved(schema)
    if not isinstance(schema, dict):
        return
    if path:
        yield path, schema
    if isinstance(value, dict):
        for name, part in value.items():
            below = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            yield from places(part, below, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, schema.get("items"), (*path, number))


PLACES = list(places(whole_study(), SCHEMA))
KINDS = {
    "object": {"a": 1},
    "array": [[[]]],
    "string": "no such thing",
    "integer": 3,
    "number": 0.123,
    "boolean": True,
}


def shown(path: Place) -> str:
    """A path as messages write it."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)[1:]


def types_of(schema: dict[str, Any]) -> set[str]:
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else set(types)


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    """Values that a schema does not allow."""
    wrong: list[Any] = []
    types = types_of(schema)
    if types:
        allowed = types | ({"integer"} if "number" in types else set())
        wrong += [value for kind, value in KINDS.items() if kind not in allowed]
    if "enum" in schema:
        wrong += ["no such thing", 17, ["no"], {"a": 1}]
    for bound, step in (("minimum", -1), ("exclusiveMinimum", 0), ("exclusiveMaximum", 0)):
        if bound in schema:
            wrong.append(schema[bound] + step)
    if "maximum" in schema:
        wrong.append(schema["maximum"] + 1)
    if "pattern" in schema:
        wrong += ["a b; rm -rf /", "$(touch x)", "\n", "'", '"', "`id`", "ü ö\u0000"]
    if schema.get("uniqueItems"):
        wrong += [[*value, value[0]] for value in (["0", "1"], [0, 1])]
    if schema.get("minItems"):
        wrong.append([])
    return wrong


@st.composite
def mistakes(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A config with one mistake, and the place that the message must name."""
    kind = draw(st.sampled_from(["value", "value", "value", "unknown key", "missing"]))
    if kind == "value":
        path, schema = draw(st.sampled_from([p for p in PLACES if wrong_values(p[1])]))
        wrong = draw(st.sampled_from(wrong_values(schema)))
        return changed(path, wrong), shown(path).partition("[")[0]
    closed = [p for p in PLACES if p[1].get("additionalProperties") is False]
    # Elsewhere a missing key may come from what a protocol shares or extends.
    whole = [p for p in closed if p[0] in (("paths",), ("surface",))]
    path, schema = draw(st.sampled_from(whole if kind == "missing" else closed))
    part = whole_study()
    for name in path:
        part = part[name]
    part = part or {}
    if kind == "missing":
        name = draw(st.sampled_from(schema["required"]))
        part = {key: value for key, value in part.items() if key != name}
        return changed(path, part), ""
    letters = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)
    key = draw(letters.filter(lambda word: word not in schema.get("properties", {})))
    return changed(path, part | {key: 1}), shown(path)


def line_of(
    study: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> str:
    """The command's message for an invalid config."""
    path = folder / "mistake.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    words = ["config", str(path), "--schema", str(SCHEMA_PATH), "--out", str(folder / "out.json")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        command.run(config_command.main)
    assert ended.value.code == 2
    assert not (folder / "out.json").exists()
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.slow
@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mistake=mistakes())
def test_every_mistake_is_one_line_with_its_place_and_reason(
    mistake: tuple[dict[str, Any], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    study, where = mistake
    line = line_of(study, tmp_path, monkeypatch, capsys)
    assert line.startswith("error: config")
    assert line.count("\n") == 1
    assert len(line) < 500
    assert where in line, (where, line)
    assert len(line) > len(f"error: config: {where}: ") + 5, "there is a reason"


def dry_run(study: dict[str, Any], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The output of a Snakemake process for a study, as a user would start it."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *options, "--configfile", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_snakemake_says_the_same_line(number: int, tmp_path: Path) -> None:
    path, schema = [p for p in PLACES if wrong_values(p[1])][number * 37]
    done = dry_run(changed(path, wrong_values(schema)[0]), tmp_path)
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).splitlines()
    told = [line for line in lines if not line.startswith(("Config file", "Using workflow"))]
    assert len(told) == 1, told
    assert told[0].startswith("error: config: ")
    assert shown(path).partition("[")[0] in told[0]


def right_values(schema: dict[str, Any]) -> st.SearchStrategy[Any] | None:
    """Values that a schema of a single number or choice allows."""
    types = types_of(schema)
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = min(schema.get("maximum", schema.get("exclusiveMaximum", np.inf)), low + 1000)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "integer" in types:
        return st.integers(int(low), int(high))
    if "number" in types:
        open_ends = {
            "exclude_min": "exclusiveMinimum" in schema,
            "exclude_max": "exclusiveMaximum" in schema,
        }
        return st.floats(low, high, allow_nan=False, width=32, **open_ends)
    return st.booleans() if "boolean" in types else None


# Their rules span several places of the config: test_sizes.py, and power is above alpha.
BOUND_TO_OTHERS = ("batch", "test_fraction", "alpha", "power")
SETTABLE = [
    (path, schema)
    for path, schema in PLACES
    if path[0] in ("data", "measure", "analysis", "checkpoint", "verify")
    or path[-1] in ("epochs", "probes", "interval", "clip_norm", "distribution", "scaling")
    if right_values(schema) is not None and path[:2] != ("verify", "runs")
    if path[-1] not in BOUND_TO_OTHERS and "radii" not in str(path)
]


@st.composite
def valid_studies(draw: st.DrawFn, changes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The study with at most `changes` valid values put in, and the completed study."""
    study = whole_study()
    for path, schema in draw(st.lists(st.sampled_from(SETTABLE), max_size=changes)):
        put(study, path, draw(right_values(schema)))
    return study, config.load(study, SCHEMA)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(drawn=valid_studies(5))
def test_what_the_schema_allows_is_taken(drawn: tuple[dict[str, Any], dict[str, Any]]) -> None:
    _, completed = drawn
    assert len(set(config.runs(completed))) == len(config.runs(completed))
    assert all(config.settings(completed, run).batch > 0 for run in config.runs(completed)[::50])


@pytest.mark.slow
@settings(
    max_examples=2,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(drawn=valid_studies(20))
def test_what_is_taken_is_planned(
    drawn: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    """Snakemake itself plans one training per run."""
    study, completed = drawn
    plain = ["--workflow-profile", "none", "--cores", "1", "--config", "lanes=1"]
    done = dry_run(study, tmp_path, *plain, "--forceall", "--quiet", "rules")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    planned = re.search(r"^train_model +(\d+)$", said, re.MULTILINE)
    assert planned, said
    assert int(planned[1]) == len(config.runs(completed))
