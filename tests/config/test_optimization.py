"""Optimizers and schedules are tried before anything is planned, but not those that ran before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flatreg import config, optimizers
from flatreg.errors import UserError
from tests.config.small import CELL, changed, load, study

WARM = {"name": "warmup_cosine_decay_schedule", "init_value": 0.0, "warmup_epochs": 5}


@pytest.mark.parametrize(
    ("where", "value", "line"),
    [
        ("optimizer_arguments", {"beta": 1}, "optimizer_arguments: adam has no argument 'beta'; "),
        ("optimizer_arguments", {"b1": None}, "optimizer_arguments: adam takes no step ("),
        ("schedule", {"name": "exponential_decay"}, "schedule: exponential_decay needs decay_rate"),
        # As long as the run itself, so that nothing is left to decay.
        ("schedule", WARM, "schedule: warmup_cosine_decay_schedule: The cosine_decay_schedule req"),
        ("schedule", {"name": "linear_schedule", "end_value": -1}, "gives the learning rate -"),
    ],
)
def test_arguments_that_optax_refuses_are_told_with_their_data_set(
    where: str, value: dict[str, Any], line: str
) -> None:
    completed = load(changed(f"{CELL}.{where}", value))
    with pytest.raises(UserError) as caught:
        config.check_optimizers(completed)
    assert str(caught.value).startswith(f"config: {CELL}.")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data sets whose schedules are tried."""
    names: list[str] = []
    monkeypatch.setattr(
        optimizers, "check_schedule", lambda cell, steps_per_epoch: names.append(cell.dataset)
    )
    return names


def written(folder: Path, content: str) -> Path:
    (folder / "config.json").write_text(content, encoding="utf-8")
    return folder / "config.json"


def test_what_ran_before_is_not_tried_again(tmp_path: Path, tried: list[str]) -> None:
    before = written(tmp_path, json.dumps(load(study())))
    config.check_optimizers(load(study()), before)
    config.check_optimizers(load(changed(f"{CELL}.clip_norm", 2.0)), before)
    config.check_optimizers(load(changed("data.digits.test_fraction", 0.5)), before)
    assert tried == ["breast_cancer", "digits"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"protocols": {"a": {"datasets": 3}}}'])
def test_a_file_that_is_no_config_is_passed_over(
    content: str, tmp_path: Path, tried: list[str]
) -> None:
    config.check_optimizers(load(study()), written(tmp_path, content))
    assert set(tried) == {"breast_cancer", "digits", "posts"}


def test_planning_the_same_study_again_imports_no_jax(tmp_path: Path) -> None:
    completed = load(study())
    before = written(tmp_path, json.dumps(completed))
    code = (
        "import json, sys; from pathlib import Path; from flatreg import config;"
        "path = Path(sys.argv[1]); config.check_optimizers(json.loads(path.read_text()), path);"
        "assert not {'jax', 'optax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(before)], check=True)


def test_jobs_see_the_variables_of_before() -> None:
    code = (
        "import os, sys; from flatreg import config; import json;"
        "config.check_optimizers(json.loads(sys.stdin.read()));"
        "import jax; assert jax.config.jax_platforms == 'cpu';"
        "assert 'JAX_PLATFORMS' not in os.environ"
    )
    others = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    given = json.dumps(load(study()))
    subprocess.run([sys.executable, "-c", code], input=given, text=True, check=True, env=others)
