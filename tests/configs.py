"""The study's own config, to change something in."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.copies import ROOT

Place = tuple[str | int, ...]


def whole_study() -> dict[str, Any]:
    """As its author wrote it, YAML anchors written out."""
    return json.loads(json.dumps(yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))))


def changed(path: Place, value: Any) -> dict[str, Any]:
    """The study with something else at one place."""
    study = whole_study()
    put(study, path, value)
    return study


def put(study: dict[str, Any], path: Place, value: Any) -> None:
    """Write something else at one place of a study."""
    part = study
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
