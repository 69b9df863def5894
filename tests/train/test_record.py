"""The record of a run, of the parameters that it kept and of those of its last epoch."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatreg import models
from flatreg.disk.files import read_sealed
from flatreg.disk.runs import load_params
from flatreg.train import loop, record
from flatreg.train.loop import Kept
from flatreg.train.record import Course
from tests.configs import SETTINGS
from tests.train import problems
from tests.train.problems import trainer_of


def test_both_are_kept_and_evaluated(tmp_path: Path) -> None:
    settings = replace(SETTINGS, train_examples=400)
    trainer = trainer_of(problems.digits(), settings)
    first, *_, last = loop.fit(trainer, loop.start(trainer))
    last = last._replace(kept=Kept(first.params, 1))
    record.write(tmp_path, name={}, trainer=trainer, state=last, course=Course(time.time(), 0, 0))
    metrics, test = read_sealed(tmp_path / "metrics.json"), trainer.splits.test
    assert (metrics["train_examples"], metrics["test_examples"]) == (360, 450)
    model, x = models.build(settings.model, 10), test.inputs(np.arange(len(test.y)))
    for prefix, file in (("", "params.npz"), ("last_", "last.npz")):
        params = load_params(tmp_path / file)
        logits = model.apply({"params": params}, x, train=False)
        hits = np.asarray(logits).argmax(axis=1) == test.y
        assert metrics[f"{prefix}test_accuracy"] == pytest.approx(hits.mean())
        assert metrics[f"{prefix}test_loss"] == pytest.approx(
            float(models.task_loss(logits, test.y)), rel=1e-5
        )
        norm = np.sqrt(sum((leaf**2).sum() for layer in params.values() for leaf in layer.values()))
        assert metrics[f"{prefix}parameter_norm"] == pytest.approx(norm, rel=1e-5)
    assert metrics["test_loss"] != metrics["last_test_loss"]
    assert metrics["last_test_accuracy"] == last.rows[-1]["test_accuracy"]


def test_a_diverged_run_has_the_same_entries() -> None:
    settings = replace(SETTINGS, lam="1e38", epochs=1)
    trainer = trainer_of(problems.digits(), settings)
    *_, last = loop.fit(trainer, loop.start(trainer))
    assert last.status == "diverged"
    empty = record.final(trainer, last)
    assert set(empty.values()) == {None}
    assert list(empty) == list(record.final(trainer, last._replace(status="completed")))
