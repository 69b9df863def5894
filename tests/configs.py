"""The study's own config, and the settings of a small run, to change something in."""

from __future__ import annotations

import json
from typing import Any

import yaml

from flatreg.config import Convergence, EpochMeasure, Penalty, Settings
from tests.copies import ROOT

# A training on digits that takes a second.
SETTINGS = Settings(
    protocol="test",
    dataset="digits",
    lam="0",
    seed=0,
    source="digits",
    reading=None,
    train_examples=None,
    test_examples=None,
    inputs="unit",
    model={"name": "mlp", "hidden": [16], "dropout": 0.2},
    batch=64,
    epochs=3,
    optimizer="adam",
    optimizer_arguments={},
    learning_rate=0.01,
    schedule={"name": "constant_schedule"},
    weight_decay=0.0,
    clip_norm=None,
    precision="default",
    selection="last",
    validation_fraction=0.1,
    validation_seed=0,
    varies=("initialization", "order", "dropout", "probes"),
    convergence=Convergence(patience=None, min_delta=0.0),
    penalty=Penalty(
        estimator="autodiff",
        probes=2,
        distribution="rademacher",
        interval=4,
        scaling="per_application",
        warmup=0.0,
        decoupled=False,
    ),
    search=None,
    data={},
    search_of=None,
    epoch_measure=EpochMeasure(examples=32, probes=2),
)

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
