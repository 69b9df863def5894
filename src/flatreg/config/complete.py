"""Complete a study: merge its config files, check them, and fill in every field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flatreg.config.check import EVERYWHERE, PROTOCOLS, STUDY, check_keys, check_schema, check_study
from flatreg.config.registries import definitions
from flatreg.config.study import Config
from flatreg.disk.files import read_json
from flatreg.disk.yaml_files import read_yaml
from flatreg.errors import UserError, nearest


def load(content: Config, schema: Config) -> Config:
    """Check a config against its schema and fill in the schema's defaults.

    A protocol that extends another is merged over it. Then a protocol's `training` is merged into
    each of its data sets. A key that is null counts as missing, unless its schema allows null: so
    an overlay can remove a data set.

    Args:
        content: of the merged config files.
        schema: the content of workflow/schemas/config.schema.json.

    Returns:
        The completed config: every section has all its fields.

    Raises:
        UserError: the first mistake, by key path, with the nearest known key for an unknown one.
    """
    schema = expanded(schema)
    check_keys(content)
    # First as it was written, so that a message names the place in the file. Missing keys are
    # known only after each protocol has inherited, and each data set has what its protocol shares.
    check_schema(_without_nulls(content, schema), schema, missing=STUDY)
    extended = _extended(content)
    check_schema(_without_nulls(extended, schema), schema, missing=PROTOCOLS)
    config = _without_nulls(_with_shared(extended), schema)
    _name_sources(config, schema)
    check_schema(config, schema, missing=EVERYWHERE)
    _fill(config, schema)
    check_study(config)
    return config


def read(paths: list[Path], schema_path: Path) -> Config:
    """Complete the study of config files, later ones over earlier ones; `-` is standard input.

    Raises:
        UserError: a file is missing, is not YAML, or the config is wrong.
    """
    merged: Config = {}
    for path in paths:
        merged = merge(merged, read_file(path))
    return load(merged, read_json(schema_path))


def complete(content: Config, schema: Config, where: str) -> Config:
    """Check a document that has its own schema, and fill in its defaults.

    Args:
        content: of the document.
        schema: its JSON schema.
        where: beginning of the error message.

    Raises:
        UserError: the first mistake, by key path.
    """
    check_keys(content, where)
    filled = copy.deepcopy(content)
    check_schema(filled, schema, missing=EVERYWHERE, where=where)
    _fill(filled, schema)
    return filled


def merge(below: Config, above: Config) -> Config:
    """Merge `above` over `below`: mappings are merged, all other values are replaced."""
    merged = copy.deepcopy(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def read_file(path: Path) -> Config:
    """The content of one config file; `-` is standard input.

    Raises:
        UserError: the file is missing, is not YAML, has a key twice, or holds no sections.
    """
    content = read_yaml(path, "name a config file")
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a mapping of keys; start from config.yaml")
    return content


def expanded(schema: Config) -> Config:
    """The config's schema with each `$ref` replaced by what it points to, registries included."""
    return _expanded(schema, schema["$defs"] | definitions())


def _expanded(schema: Any, definitions: Config) -> Any:
    """A part of a schema without references; keys beside a `$ref` win over it."""
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
    """The schema of one key of a mapping; empty, so that it allows all, for an unknown key."""
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


def _extended(content: Config) -> Config:
    """The config with each protocol merged over the one it extends.

    Raises:
        UserError: there is no such protocol, or the chain is a cycle.
    """
    written = {name: p for name, p in content["protocols"].items() if p is not None}

    def extended(name: str, above: tuple[str, ...]) -> Config:
        base = written[name].get("extends")
        if base is None:
            return copy.deepcopy(written[name])
        where = f"config: protocols.{name}.extends"
        if base in (*above, name):
            raise UserError(f"{where}: {base!r} extends itself in a cycle; extend another")
        if base not in written:
            others = [other for other in written if other != name]
            raise UserError(f"{where}: there is no protocol {base!r}{nearest(base, others)}")
        return merge(extended(base, (*above, name)), written[name])

    return content | {"protocols": {name: extended(name, ()) for name in written}}


def _with_shared(content: Config) -> Config:
    """The config with each data set merged over what its protocol shares."""
    config = copy.deepcopy(content)
    for protocol in _mappings(config["protocols"]):
        shared = protocol.pop("training", None) or {}
        shared |= {name: protocol[name] for name in ("lambdas", "seeds")}
        for name, own in protocol["datasets"].items():
            if own is not None:
                protocol["datasets"][name] = merge(shared, own)
    return config


def _name_sources(config: Config, schema: Config) -> None:
    """Give each data set without a source the source of its own name.

    Raises:
        UserError: there is no such source.
    """
    training = schema["properties"]["protocols"]["additionalProperties"]["properties"]["training"]
    sources = training["properties"]["source"]["enum"]
    for protocol_name, protocol in config["protocols"].items():
        for name, own in protocol["datasets"].items():
            if "source" not in own and name not in sources:
                raise UserError(
                    f"config: protocols.{protocol_name}.datasets.{name}: unknown data set"
                    f"{nearest(name, sources)}, or name the data that it reads as its `source`"
                )
            own.setdefault("source", name)


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
