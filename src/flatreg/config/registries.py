"""The names that the config may use because a module has them: sources, models, estimators.

The JSON schema refers to these definitions by `$ref`; they follow from the library's folders.
"""

from __future__ import annotations

from typing import Any

from flatreg import code

SOURCES = code.members("data.sources")
MODELS = code.members("models")
ESTIMATORS = code.members("penalty.estimators")
# What each estimator estimates. "auto" takes one of tr(H_b^2).
TARGETS = {"auto": "tr(H_b^2)"} | {name: facts["TARGET"] for name, facts in ESTIMATORS.items()}

TEXT_SOURCES = tuple(name for name, facts in SOURCES.items() if facts["READINGS"])
# Sources without a test split of their own.
UNSPLIT_SOURCES = tuple(name for name, facts in SOURCES.items() if not facts["STANDARD_SPLIT"])


def definitions() -> dict[str, Any]:
    """Definitions for the `$defs` of the config's JSON schema, by name."""
    splits = {name: {"$ref": "#/$defs/split"} for name in UNSPLIT_SOURCES}
    return {
        "sources": {"enum": list(SOURCES)},
        "preparation": {"properties": splits | {"text": {"$ref": "#/$defs/text"}}},
        "estimators": {"enum": list(TARGETS)},
        "models": _models(),
    }


def _models() -> dict[str, Any]:
    """The fields of all models, and which of them each model has."""
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
