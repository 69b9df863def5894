"""The study's own config, and changed versions of it."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.copies import ROOT

Place = tuple[str | int, ...]


def whole_study() -> dict[str, Any]:
    """config.yaml as written, not completed, with YAML anchors expanded."""
    return json.loads(json.dumps(yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))))


def changed(path: Place, value: Any) -> dict[str, Any]:
    """The study with one value replaced."""
    study = whole_study()
    put(study, path, value)
    return study


def put(study: dict[str, Any], path: Place, value: Any) -> None:
    """Replace one value of a study, in place."""
    part = study
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
