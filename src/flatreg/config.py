"""The study's config: read, checked and completed before anything is planned.

By hand: `python -m flatreg.config config.yaml --schema workflow/schemas/config.schema.json \
--out results/config.json`.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import yaml

from flatreg.errors import UserError, run_command
from flatreg.files import read_json, write_json

Config = dict[str, Any]

TEXT_SOURCES = ("newsgroups20", "imdb_reviews")
BASELINE = "0"


class Run(NamedTuple):
    """The name of one training; `lam` is the config's string."""

    protocol: str
    dataset: str
    lam: str
    seed: int


def load(given: Config, schema: Config) -> Config:
    """Check a config against its schema and fill in the schema's defaults.

    A data set or protocol that is null is left out, so that an overlay can take one away.

    Args:
        given: the merged content of the config files.
        schema: of workflow/schemas/config.schema.json.

    Returns:
        A new config in which every data set has all its fields.

    Raises:
        UserError: the first mistake, by key path, with the nearest known key for an unknown one.
    """
    config = _without_nulls(copy.deepcopy(given))
    for protocol in _mappings(config.get("protocols")):
        shared = protocol.get("training") or {}
        for name, own in dict(protocol.get("datasets") or {}).items():
            if isinstance(own, dict) and isinstance(shared, dict):
                protocol["datasets"][name] = {"source": name} | merge(shared, own)
    _check(config, schema)
    _fill(config, schema)
    _check_study(config)
    return config


def read(paths: list[Path], schema_path: Path) -> Config:
    """Load config files, later ones over earlier ones.

    Raises:
        UserError: a file is missing, is not YAML, or the config is wrong.
    """
    merged: Config = {}
    for path in paths:
        merged = merge(merged, _read_yaml(path))
    return load(merged, read_json(schema_path))


def merge(below: Config, above: Config) -> Config:
    """`above` over `below`: mappings merge, everything else is replaced."""
    merged = copy.deepcopy(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def runs(config: Config) -> list[Run]:
    """Every run of the study, in the order of the config."""
    return [
        Run(name, dataset, lam, seed)
        for name, protocol in config["protocols"].items()
        for dataset in protocol["datasets"]
        for lam in protocol["lambdas"]
        for seed in protocol["seeds"]
    ]


def cell_settings(config: Config, protocol: str, dataset: str) -> Config:
    """Every choice that fixes the trainings of a data set, but lambda and seed.

    Raises:
        UserError: the config has no such protocol or data set.
    """
    training = _entry(config["protocols"], protocol, "protocol")
    chosen = copy.deepcopy(_entry(training["datasets"], dataset, f"data set of {protocol}"))
    measure = config["measure"]
    return {
        "protocol": protocol,
        "dataset": dataset,
        **chosen,
        "data": data_settings(config, chosen["source"]),
        "epoch_measure": {
            "examples": measure["epoch_examples"],
            "probes": measure["epoch_probes"],
        },
    }


def settings(config: Config, run: Run) -> Config:
    """Every choice that fixes one training.

    Raises:
        UserError: the config has no such run.
    """
    chosen = cell_settings(config, run.protocol, run.dataset)
    protocol = config["protocols"][run.protocol]
    for name, value in (("lambda", run.lam), ("seed", run.seed)):
        known = protocol[f"{name}s"]
        if value not in known:
            raise UserError(
                f"{name} {value} is not one of protocol {run.protocol}'s "
                f"({', '.join(map(str, known))}); add it to the config"
            )
    return chosen | {"lambda": run.lam, "seed": run.seed}


def data_settings(config: Config, source: str) -> Config:
    """The fields of `data` that concern one source."""
    section = "text" if source in TEXT_SOURCES else source
    return dict(config["data"].get(section, {}))


def run_key(chosen: Config) -> str:
    """16 hex digits that name a run's settings: SHA-256 of their canonical JSON."""
    canonical = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _read_yaml(path: Path) -> Config:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; name a config file") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not YAML: {reason}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no mapping; start from config.yaml")
    return content


def _entry(table: Config, name: str, kind: str) -> Any:
    if name not in table:
        raise UserError(f"{kind} {name!r} is not in the config{_nearest(name, table)}")
    return table[name]


def _mappings(table: Any) -> Iterator[Config]:
    """The mappings among a mapping's values; what is none of them the schema will refuse."""
    if isinstance(table, dict):
        yield from (value for value in table.values() if isinstance(value, dict))


def _without_nulls(config: Config) -> Config:
    protocols = config.get("protocols")
    if isinstance(protocols, dict):
        config["protocols"] = {k: v for k, v in protocols.items() if v is not None}
    for protocol in _mappings(config.get("protocols")):
        datasets = protocol.get("datasets")
        if isinstance(datasets, dict):
            protocol["datasets"] = {k: v for k, v in datasets.items() if v is not None}
    return config


def _check(config: Config, schema: Config) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if error is not None:
        raise UserError(_describe(error))


def _describe(error: jsonschema.ValidationError) -> str:
    """One line: where, what is wrong, what is allowed."""
    where = ".".join(str(part) for part in error.absolute_path) or "config"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        (unknown, *_) = [key for key in error.instance if key not in known]
        return f"{where}: unknown key {unknown!r}{_nearest(unknown, known)}"
    if error.validator == "enum":
        allowed = error.schema["enum"]
        choices = ", ".join("null" if v is None else str(v) for v in allowed)
        nearest = _nearest(error.instance, [v for v in allowed if v])
        return f"{where}: {error.instance!r} is not one of {choices}{nearest}"
    if error.validator == "pattern" and "lambdas" in error.absolute_path:
        return f"{where}: lambda {error.instance!r} is not a number of at least 0, as a string"
    if error.validator == "type" and "lambdas" in error.absolute_path:
        return f'{where}: lambda {error.instance!r} is not a string; write it in quotes, "0.1"'
    message = " ".join(error.message.split())
    return f"{where}: {message if len(message) < 160 else message[:157] + '...'}"


def _nearest(name: Any, known: Any) -> str:
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(map(str, known))}"


def _fill(value: Any, schema: Config) -> None:
    """Fill in the schema's defaults, in place, outer ones first."""
    if isinstance(value, list):
        for item in value:
            _fill(item, schema.get("items", {}))
    if not isinstance(value, dict):
        return
    for name, field in schema.get("properties", {}).items():
        if name not in value and "default" in field:
            value[name] = copy.deepcopy(field["default"])
    for name, part in value.items():
        others = schema.get("additionalProperties")
        field = schema.get("properties", {}).get(name, others if isinstance(others, dict) else {})
        _fill(part, field)


def _check_study(config: Config) -> None:
    """What a schema cannot say."""
    for name, protocol in config["protocols"].items():
        where = f"protocols.{name}"
        _check_lambdas(protocol["lambdas"], f"{where}.lambdas")
        for dataset, chosen in protocol["datasets"].items():
            _check_training(chosen, f"{where}.datasets.{dataset}")
    surface = config["surface"]
    protocol = _entry(config["protocols"], surface["protocol"], "surface.protocol:")
    if surface["lambda"] not in protocol["lambdas"] or surface["lambda"] == BASELINE:
        raise UserError(
            f"surface.lambda: {surface['lambda']!r} is not a lambda above 0 of protocol "
            f"{surface['protocol']}"
        )
    if surface["seed"] not in protocol["seeds"]:
        raise UserError(
            f"surface.seed: {surface['seed']} is not a seed of protocol {surface['protocol']}"
        )
    known = set(runs(config))
    for number, run in enumerate(config["verify"]["runs"]):
        if Run(run["protocol"], run["dataset"], run["lambda"], run["seed"]) not in known:
            raise UserError(f"verify.runs.{number}: the study has no such run")


def _check_lambdas(lambdas: list[str], where: str) -> None:
    values: dict[float, str] = {}
    for lam in lambdas:
        if float(lam) in values:
            raise UserError(f"{where}: {values[float(lam)]!r} and {lam!r} are one lambda; keep one")
        values[float(lam)] = lam
    if BASELINE not in lambdas:
        raise UserError(f'{where}: the baseline "0" is missing; add it')


def _check_training(chosen: Config, where: str) -> None:
    for name in ("learning_rate", "weight_decay"):
        given, searched = chosen[name] is not None, chosen["search"] is not None
        if given == searched:
            raise UserError(
                f"{where}.{name}: "
                + ("given and searched; keep one" if given else "missing; give it or a `search`")
            )
    is_text = chosen["source"] in TEXT_SOURCES
    if is_text != (chosen["reading"] is not None):
        what = "missing; write `whole` or `stripped`" if is_text else "only texts have one"
        raise UserError(f"{where}.reading: {what}")
    if chosen["reading"] == "stripped" and chosen["source"] != "newsgroups20":
        raise UserError(f"{where}.reading: only newsgroups20 has a stripped one; write `whole`")
    _check_model(chosen["model"], f"{where}.model")


def _check_model(model: Config, where: str) -> None:
    needed = {"mlp": {"hidden", "dropout"}, "logistic_regression": set()}[model["name"]]
    for field in sorted(needed ^ (set(model) - {"name"})):
        what = "missing" if field in needed else f"not a field of {model['name']}"
        raise UserError(f"{where}.{field}: {what}")


def main() -> None:
    """Write the checked and completed config."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.config", description=__doc__)
    parser.add_argument("config", type=Path, nargs="+", help="YAML, later over earlier")
    parser.add_argument("--schema", type=Path, required=True, help="its JSON schema")
    parser.add_argument("--out", type=Path, required=True, help="the completed config (JSON)")
    arguments = parser.parse_args()
    write_json(arguments.out, read(arguments.config, arguments.schema))


if __name__ == "__main__":
    run_command(main)
