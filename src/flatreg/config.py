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
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import yaml

from flatreg.errors import UserError, run_command
from flatreg.files import read_json, write_json

Config = dict[str, Any]

TEXT_SOURCES = ("newsgroups20", "imdb_reviews")
# Without a standard test split; the config fixes one.
UNSPLIT_SOURCES = ("breast_cancer", "digits")
BASELINE = "0"


class Run(NamedTuple):
    """The name of one training; `lam` is the config's string."""

    protocol: str
    dataset: str
    lam: str
    seed: int


def load(given: Config, schema: Config) -> Config:
    """Check a config against its schema and fill in the schema's defaults.

    A protocol that extends another is laid over it, then a protocol's `training` goes into each of
    its data sets. A key that is null is as if it were not there, unless null is one of its values:
    so an overlay can take a data set away.

    Args:
        given: the merged content of the config files.
        schema: of workflow/schemas/config.schema.json.

    Returns:
        A new config in which every section has all its fields.

    Raises:
        UserError: the first mistake, by key path, with the nearest known key for an unknown one.
    """
    schema = _expanded(schema, schema["$defs"])
    _check_keys(given)
    # First as it was written, so that a mistake is told where it stands; what is missing shows
    # only once a protocol has what it extends, and each data set what its protocol shares.
    _check(_without_nulls(given, schema), schema, missing=_STUDY)
    extended = _extended(given)
    _check(_without_nulls(extended, schema), schema, missing=_PROTOCOLS)
    config = _without_nulls(_with_shared(extended), schema)
    _name_sources(config, schema)
    _check(config, schema, missing=_ALL)
    _fill(config, schema)
    _check_study(config)
    return config


def read(paths: list[Path], schema_path: Path) -> Config:
    """Load config files, later ones over earlier ones; `-` is standard input.

    Raises:
        UserError: a file is missing, is not YAML, or the config is wrong.
    """
    merged: Config = {}
    for path in paths:
        merged = merge(merged, _read_yaml(path))
    return load(merged, read_json(schema_path))


def complete(given: Config, schema: Config, where: str) -> Config:
    """Check a document of another schema than the config's, and fill in its defaults.

    Args:
        given: its content.
        schema: its JSON schema.
        where: what a mistake's line begins with.

    Raises:
        UserError: the first mistake, by key path.
    """
    _check_keys(given, where)
    filled = copy.deepcopy(given)
    _check(filled, schema, missing=_ALL, where=where)
    _fill(filled, schema)
    return filled


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
        for dataset, chosen in protocol["datasets"].items()
        for lam in chosen["lambdas"]
        for seed in chosen["seeds"]
    ]


def main_protocols(config: Config) -> list[str]:
    """The protocols that extend none: those that figures and the main tables show."""
    return [name for name, protocol in config["protocols"].items() if protocol["extends"] is None]


def estimated_runs(config: Config) -> list[Run]:
    """The runs that the config's `estimates` names; none where it is null."""
    named = config["estimates"]
    if named is None:
        return []
    cell = named["protocol"], named["dataset"]
    return [Run(*cell, named["lambda"], seed) for seed in seeds(config, *cell)]


def cell_settings(config: Config, protocol: str, dataset: str) -> Config:
    """Every choice that fixes the trainings of a data set, but lambda and seed.

    Raises:
        UserError: the config has no such protocol or data set.
    """
    chosen = _chosen(config, protocol, dataset)
    measure = config["measure"]
    return {
        "protocol": protocol,
        "dataset": dataset,
        **{k: copy.deepcopy(v) for k, v in chosen.items() if k not in ("lambdas", "seeds")},
        "data": data_settings(config, chosen["source"]),
        "search_of": search_of(config, protocol, dataset),
        "epoch_measure": {
            "examples": measure["epoch_examples"],
            "probes": measure["epoch_probes"],
        },
    }


def search_of(config: Config, protocol: str, dataset: str) -> str | None:
    """The protocol whose search gives a data set its rates; None where the config gives them.

    It is the first in the chain of those that each extend the next and have the same search.
    """
    search = _chosen(config, protocol, dataset)["search"]
    base = config["protocols"][protocol]["extends"]
    if search is None or base is None:
        return protocol if search is not None else None
    there = config["protocols"][base]["datasets"].get(dataset)
    same = there is not None and there["search"] == search
    return search_of(config, base, dataset) if same else protocol


def seeds(config: Config, protocol: str, dataset: str) -> list[int]:
    """The seeds of a data set of a protocol.

    Raises:
        UserError: the config has no such protocol or data set.
    """
    return list(_chosen(config, protocol, dataset)["seeds"])


def settings(config: Config, run: Run) -> Config:
    """Every choice that fixes one training.

    Raises:
        UserError: the config has no such run.
    """
    chosen = cell_settings(config, run.protocol, run.dataset)
    for name, value in (("lambda", run.lam), ("seed", run.seed)):
        known = _chosen(config, run.protocol, run.dataset)[f"{name}s"]
        if value not in known:
            raise UserError(
                f"{name} {value} is not one of {run.protocol}/{run.dataset}'s "
                f"({', '.join(map(str, known))}); add it to the config"
            )
    return chosen | {"lambda": run.lam, "seed": run.seed}


def seed_of(chosen: Config, source: str) -> int:
    """The seed of one source of a run's randomness: the run's own, or 0 where it does not vary."""
    return chosen["seed"] if source in chosen["varies"] else 0


def data_settings(config: Config, source: str) -> Config:
    """The fields of `data` that concern one source."""
    section = "text" if source in TEXT_SOURCES else source
    return dict(config["data"].get(section, {}))


def measure_settings(config: Config) -> Config:
    """The fields of `measure` that concern a trained model, not the epochs of its training."""
    return {k: v for k, v in config["measure"].items() if not k.startswith("epoch_")}


def run_key(chosen: Config, data_sha256: str) -> str:
    """16 hex digits that name a run: its settings and the data that it is trained on."""
    return digest({"settings": settings_key(chosen), "data": data_sha256})


def settings_key(chosen: Config) -> str:
    """16 hex digits that name a run's settings; at lambda 0 the penalty is none of them."""
    unused = {"penalty"} if chosen["lambda"] == BASELINE else set()
    return digest({k: v for k, v in chosen.items() if k not in unused})


def selection_key(cell: Config) -> str:
    """16 hex digits that name what a search depends on: trainings at lambda 0, not measured."""
    return digest({k: v for k, v in cell.items() if k not in ("penalty", "epoch_measure")})


def digest(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of a value's canonical JSON (1.0 is written 1)."""
    canonical = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def check_writable(path: Path) -> None:
    """Check that a file or folder can be made there.

    Raises:
        UserError: the nearest folder above it that exists cannot be written to.
    """
    path = path.absolute()
    there = next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110
    if not os.access(there, os.W_OK):
        raise UserError(f"cannot write to {there}; change its permissions, or config: paths")
    if there != path and not there.is_dir():
        raise UserError(f"cannot make {path}: {there} is a file; move it, or change config: paths")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read_yaml(path: Path) -> Config:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a config file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no mapping; start from config.yaml")
    return content


def _chosen(config: Config, protocol: str, dataset: str) -> Config:
    entries = _entry(config["protocols"], protocol, "protocol")["datasets"]
    return _entry(entries, dataset, f"data set of {protocol}")


def _entry(table: Config, name: str, kind: str) -> Any:
    if name not in table:
        raise UserError(f"{kind} {name!r} is not in the config{nearest(name, table)}")
    return table[name]


# ── Completing ────────────────────────────────────────────────────────────────


def _expanded(schema: Any, definitions: Config) -> Any:
    """The schema with each `$ref` replaced by what it points to; what stands beside it wins."""
    if isinstance(schema, list):
        return [_expanded(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {k: _expanded(v, definitions) for k, v in schema.items() if k not in ("$ref", "$defs")}
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return merge(_expanded(definitions[name], definitions), parts)
    return parts


def _field(schema: Config, name: str) -> Config:
    """The schema of one key of a mapping; anything goes for a key it says nothing of."""
    others = schema.get("additionalProperties")
    field = schema.get("properties", {}).get(name, others)
    return field if isinstance(field, dict) else {}


def _without_nulls(value: Any, schema: Config) -> Any:
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    return {
        name: _without_nulls(part, _field(schema, name))
        for name, part in value.items()
        if part is not None or _accepts_null(_field(schema, name))
    }


def _accepts_null(field: Config) -> bool:
    if "enum" in field:
        return None in field["enum"]
    return "null" in field["type"] if "type" in field else True


def _extended(given: Config) -> Config:
    """The config with each protocol laid over the one it extends.

    Raises:
        UserError: there is no such protocol, or the chain comes back to where it began.
    """
    written = {name: p for name, p in given["protocols"].items() if p is not None}

    def laid(name: str, above: tuple[str, ...]) -> Config:
        base = written[name].get("extends")
        if base is None:
            return copy.deepcopy(written[name])
        where = f"config: protocols.{name}.extends"
        if base in (*above, name):
            raise UserError(f"{where}: {base!r} comes back to itself; extend another")
        if base not in written:
            others = [other for other in written if other != name]
            raise UserError(f"{where}: there is no protocol {base!r}{nearest(base, others)}")
        return merge(laid(base, (*above, name)), written[name])

    return given | {"protocols": {name: laid(name, ()) for name in written}}


def _with_shared(given: Config) -> Config:
    """The config with what each protocol shares laid under its data sets."""
    config = copy.deepcopy(given)
    for protocol in _mappings(config["protocols"]):
        shared = protocol.pop("training", None) or {}
        shared |= {name: protocol[name] for name in ("lambdas", "seeds")}
        for name, own in protocol["datasets"].items():
            if own is not None:
                protocol["datasets"][name] = merge(shared, own)
    return config


def _name_sources(config: Config, schema: Config) -> None:
    """A data set that names no source is its own."""
    training = schema["properties"]["protocols"]["additionalProperties"]["properties"]["training"]
    sources = training["properties"]["source"]["enum"]
    for protocol_name, protocol in config["protocols"].items():
        for name, chosen in protocol["datasets"].items():
            if "source" not in chosen and name not in sources:
                raise UserError(
                    f"config: protocols.{protocol_name}.datasets.{name}: unknown data set"
                    f"{nearest(name, sources)}, or name the one it reads as its `source`"
                )
            chosen.setdefault("source", name)


def _mappings(table: Config) -> Iterator[Config]:
    return (value for value in table.values() if isinstance(value, dict))


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
        _fill(part, _field(schema, name))


# ── Checking ──────────────────────────────────────────────────────────────────


def _check_keys(value: Any, where: str = "config") -> None:
    """YAML reads a bare `1:` or `on:` as no text; such keys have no place in paths and JSON."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            _check_keys(item, f"{where}[{number}]")
    if not isinstance(value, dict):
        return
    for key, part in value.items():
        if not isinstance(key, str):
            raise UserError(f"{where}: key {key!r} is not text; write it in quotes or rename it")
        _check_keys(part, f"{where}.{key}" if ": " in where else f"{where}: {key}")


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: Any, value: Any) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


# How deep in the config it is a mistake that a key is missing, or that a section has none.
_STUDY, _PROTOCOLS, _ALL = 2, 3, math.inf
_LACKING = ("required", "minProperties")


def _check(config: Config, schema: Config, *, missing: float, where: str = "config") -> None:
    errors = _Validator(schema).iter_errors(config)
    error = jsonschema.exceptions.best_match(
        error
        for error in errors
        if error.validator not in _LACKING or len(error.absolute_path) < missing
    )
    if error is not None:
        raise UserError(f"{where}: {_path(error.absolute_path)}{_reason(error)}")


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{path[1:]}: " if path else ""


def _reason(error: jsonschema.ValidationError) -> str:
    """What is wrong with a value and what is allowed, in a few words."""
    value, limit = error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path:
        if error.validator == "enum":
            return f"unknown key {_short(value)}{nearest(value, limit)}"
        return f"{_short(value)} is no name; use small letters, digits and _, a letter first"
    match error.validator:
        case "not":
            return "has no place here; it stands beside `training`, or in a data set"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in value if key not in known)
            return f"unknown key {_short(unknown)}{nearest(unknown, known)}"
        case "required":
            missing = next(key for key in limit if key not in value)
            return f"{missing!r} is missing"
        case "enum":
            known = [_short(choice) for choice in limit]
            if len(known) <= 4:
                return f"{_short(value)} is unknown; known are {', '.join(known)}"
            return f"{_short(value)} is unknown{nearest(_short(value), known)}"
        case "type":
            return f"must be {_kind(limit)}, not {_short(value)}{_type_hint(value, limit)}"
        case "pattern" if "lambdas" in error.absolute_path:
            return f"lambda {_lambda_reason(value)}"
        case "pattern":
            return f"{_short(value)} may hold letters, digits and . _ - / only"
        case "uniqueItems":
            twice = next(part for part in value if value.count(part) > 1)
            return f"{_short(twice)} is there twice; keep one"
        case "minItems" | "minProperties":
            return "must not be empty"
    bounds = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "above",
        "exclusiveMaximum": "below",
    }
    return f"must be {bounds[error.validator]} {limit}, not {_short(value)}"


def _kind(types: str | list[str]) -> str:
    names = {
        "object": "a section of keys",
        "array": "a list",
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
    }
    return " or ".join(names[name] for name in ([types] if isinstance(types, str) else types))


def _type_hint(value: Any, types: str | list[str]) -> str:
    if types == "string" and isinstance(value, int | float):
        return f'; write it in quotes: "{value}"'
    if "number" in types and isinstance(value, str) and "e" in value.lower():
        return "; YAML reads 1.0e-3 as a number, 1e-3 as text"
    return ""


def _lambda_reason(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return f"{_short(text)} is not a number"
    if not math.isfinite(value):
        return f"{_short(text)} is not a finite number"
    if value < 0:
        return f"{_short(text)} is negative"
    return f'{_short(text)} is oddly written; write it as "0.1" or "1e-3"'


def _short(value: Any) -> str:
    """A value on one line, of bearable length."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest known one, or all of them."""
    known = [str(choice) for choice in known]
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _check_study(config: Config) -> None:
    """What a schema cannot say."""
    for name, protocol in config["protocols"].items():
        where = f"config: protocols.{name}"
        plain = protocol["extends"] is None
        _check_lambdas(protocol["lambdas"], f"{where}.lambdas", with_plain=plain)
        for dataset, chosen in protocol["datasets"].items():
            own = f"{where}.datasets.{dataset}.lambdas"
            _check_lambdas(chosen["lambdas"], own, with_plain=plain)
            _check_training(chosen, f"{where}.datasets.{dataset}")
    _check_surface(config)
    known = set(runs(config))
    _check_estimates(config)
    for number, run in enumerate(config["verify"]["runs"]):
        if Run(run["protocol"], run["dataset"], run["lambda"], run["seed"]) not in known:
            raise UserError(
                f"config: verify.runs[{number}]: the study has no run {run['protocol']}/"
                f"{run['dataset']}/lambda-{run['lambda']}/seed-{run['seed']}; name one it has"
            )


def _check_surface(config: Config) -> None:
    surface = config["surface"]
    protocol = _entry(config["protocols"], surface["protocol"], "config: surface.protocol:")
    for dataset, chosen in protocol["datasets"].items():
        shown = {
            "lambda": [lam for lam in chosen["lambdas"] if lam != BASELINE],
            "seed": chosen["seeds"],
        }
        for name, known in shown.items():
            if surface[name] not in known:
                raise UserError(
                    f"config: surface.{name}: {surface['protocol']}/{dataset} has no {name} "
                    f"{_short(surface[name])} to show; choose of {', '.join(map(str, known))}"
                )


def _check_estimates(config: Config) -> None:
    if config["estimates"] is None:
        return
    try:
        named = estimated_runs(config)
        model = cell_settings(config, *named[0][:2])["model"]["name"]
        settings(config, named[0])
    except UserError as error:
        raise UserError(f"config: estimates: {error}, or to name others") from error
    if model != "logistic_regression":
        raise UserError(
            f"config: estimates: {named[0].dataset} is a {model}; tr(H^2) has a closed form for "
            "logistic regression only"
        )


def _check_lambdas(lambdas: list[str], where: str, *, with_plain: bool) -> None:
    values: dict[float, str] = {}
    for lam in lambdas:
        value = float(lam)
        if not math.isfinite(value):
            raise UserError(f"{where}: lambda {lam!r} is not a finite number")
        if value in values:
            raise UserError(
                f"{where}: {values[value]!r} and {lam!r} are one lambda given twice; keep one"
            )
        values[value] = lam
    if with_plain and BASELINE not in lambdas:
        raise UserError(f'{where}: lambda "0", the plain training, is missing; add it')


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
    if "test_split" in chosen["varies"] and chosen["source"] not in UNSPLIT_SOURCES:
        raise UserError(
            f"{where}.varies: {chosen['source']} has a standard test split; leave test_split out"
        )
    if is_text and chosen["inputs"] != "raw":
        raise UserError(f"{where}.inputs: TF-IDF is scaled already and sparse; write `raw`")


def check_optimizers(config: Config) -> None:
    """Build every optimizer and schedule of the study, to see whether optax takes the arguments.

    Raises:
        UserError: it does not, with the data set it is of.
    """
    from flatreg import optimizers  # optax takes most of a second to import

    for name, protocol in config["protocols"].items():
        for dataset in protocol["datasets"]:
            chosen = cell_settings(config, name, dataset)
            if chosen["search"] is not None:
                chosen |= {k: chosen["search"][k][0] for k in ("learning_rate", "weight_decay")}
            try:
                optimizers.build(chosen, steps_per_epoch=100)
            except UserError as error:
                raise UserError(f"config: protocols.{name}.datasets.{dataset}: {error}") from error


def main() -> None:
    """Write the checked and completed config."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.config", description=__doc__)
    parser.add_argument(
        "config", type=Path, nargs="+", help="YAML, later over earlier; - is standard input"
    )
    parser.add_argument("--schema", type=Path, required=True, help="its JSON schema")
    parser.add_argument("--out", type=Path, required=True, help="the completed config (JSON)")
    arguments = parser.parse_args()
    config = read(arguments.config, arguments.schema)
    check_optimizers(config)
    write_json(arguments.out, config)


if __name__ == "__main__":
    run_command(main)
