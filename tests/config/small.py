"""A small study and the schema, for all tests of the config."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from flatreg import config
from flatreg.config import Run
from flatreg.config.complete import expanded
from flatreg.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_PATH = ROOT / "workflow/schemas/config.schema.json"
SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
EXPANDED = expanded(SCHEMA)
TRAINING = expanded(SCHEMA["$defs"]["dataset"] | {"$defs": SCHEMA["$defs"]})

# Left out of every key and param, each for its reason.
CHANGES_NO_NUMBER = {
    "lanes": "a run has the same bytes in every block",
    "paths.results": "moves files",
    "paths.generated": "moves files",
    "paths.pdf": "moves files",
    "checkpoint.every_epochs": "a resumed run ends in the bytes of an unbroken one",
    "checkpoint.every_seconds": "a resumed run ends in the bytes of an unbroken one",
    "verify.runs": "read by flatreg.publish.verify, after the runs",
    "verify.tolerance.accuracy": "read by flatreg.publish.verify, after the runs",
    "verify.tolerance.relative": "read by flatreg.publish.verify, after the runs",
}
# Fields that name runs: a change is another run, with a file of its own.
NAMES_RUNS = {"lambdas", "seeds"}


CELL = "protocols.stated.datasets.breast_cancer"


def study() -> dict[str, Any]:
    """A small config with a data set of each kind, as a user would write it."""
    return {
        "paths": {"results": "results", "generated": "paper/generated", "pdf": "paper.pdf"},
        "surface": {"protocol": "stated", "lambda": "0.1", "seed": 0},
        "protocols": {
            "stated": {
                "lambdas": ["0", "0.1"],
                "seeds": [0, 1],
                "training": {"epochs": 5, "weight_decay": 0.001},
                "datasets": {
                    "breast_cancer": {
                        "model": {"name": "mlp", "hidden": [8], "dropout": 0.1},
                        "batch": 32,
                        "learning_rate": 0.01,
                    },
                    "digits": {
                        "model": {"name": "logistic_regression"},
                        "batch": 32,
                        "weight_decay": None,
                        "search": {"learning_rate": [0.1, 0.2], "weight_decay": [0.1, 0.2]},
                    },
                    "posts": {
                        "source": "newsgroups20",
                        "reading": "stripped",
                        "model": {"name": "logistic_regression"},
                        "batch": 32,
                        "learning_rate": 0.01,
                    },
                },
            }
        },
    }


def changed(where: str, value: Any, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """A config in which the key at a path is set to a value."""
    result = copy.deepcopy(study() if given is None else given)
    *above, last = where.split(".")
    part = result
    for key in above:
        part = part.setdefault(key, {})
    part[last] = value
    return result


def load(given: dict[str, Any]) -> dict[str, Any]:
    return config.load(given, SCHEMA)


def message(given: dict[str, Any]) -> str:
    """The error message, of one line, for an invalid config."""
    with pytest.raises(UserError) as caught:
        load(given)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def all_keys(resolved: dict[str, Any]) -> dict[Run, str]:
    return {
        run: config.settings_key(config.settings(resolved, run)) for run in config.runs(resolved)
    }
