"""What the config may name because there is a module for it: sources, models and estimators.

The JSON schema refers to these parts by `$ref`; they follow from the folders of the library.
"""

from __future__ import annotations

from typing import Any

from flatreg import code

SOURCES = code.members("data.sources")
MODELS = code.members("models")
# The cheapest that the model allows, or one by its name.
ESTIMATORS = ("auto", *code.members("penalty.estimators"))

TEXT_SOURCES = tuple(name for name, facts in SOURCES.items() if facts["READINGS"])
# Without a test split of their own.
UNSPLIT_SOURCES = tuple(name for name, facts in SOURCES.items() if not facts["STANDARD_SPLIT"])


def definitions() -> dict[str, Any]:
    """Definitions for the `$defs` of the config's JSON schema, by name."""
    splits = {name: {"$ref": "#/$defs/split"} for name in UNSPLIT_SOURCES}
    return {
        "sources": {"enum": list(SOURCES)},
        "preparation": {"properties": splits | {"text": {"$ref": "#/$defs/text"}}},
        "estimators": {"enum": list(ESTIMATORS)},
        "models": _models(),
    }


def _models() -> dict[str, Any]:
    """The fields of all models, and for each model which of them are its own."""
    fields = {name: field for facts in MODELS.values() for name, field in facts["FIELDS"].items()}
    names = {"description": "Model of flatreg.models.", "enum": list(MODELS)}
    return {
        "properties": {"name": names} | fields,
        "allOf": [_model(name, list(facts["FIELDS"])) for name, facts in MODELS.items()],
    }


def _model(name: str, fields: list[str]) -> dict[str, Any]:
    allowed = {"propertyNames": {"enum": ["name", *fields, "outputs"]}}
    return {
        "if": {"properties": {"name": {"const": name}}},
        "then": ({"required": fields} if fields else {}) | allowed,
    }
