"""The penalty of a training, against a logistic regression written out with NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from flatreg.config import Settings
from flatreg.data.splits import Split
from flatreg.train import loop, record
from tests.configs import SETTINGS
from tests.train import problems
from tests.train.problems import trainer_of

PENALTY = replace(SETTINGS.penalty, estimator="exact", interval=3, warmup=0.5)
# 11 steps per epoch, of which the warm-up takes the first 11.
LOGISTIC = replace(
    SETTINGS,
    dataset="breast_cancer",
    inputs="standardized",
    model={"name": "logistic_regression"},
    batch=32,
    epochs=2,
    lam="2",
    penalty=PENALTY,
)


def settings_of(optimizer: str, *, decoupled: bool, **changes: Any) -> Settings:
    chosen = replace(PENALTY, decoupled=decoupled)
    return replace(LOGISTIC, optimizer=optimizer, penalty=chosen, **changes)


@cache
def trained(optimizer: str, *, decoupled: bool) -> tuple[loop.Trainer, loop.State]:
    trainer = trainer_of(problems.breast_cancer(), settings_of(optimizer, decoupled=decoupled))
    *_, last = loop.fit(trainer, loop.start(trainer))
    return trainer, last


def gradients(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean cross-entropy, and of tr(H^2), H = X^T diag(s (1 - s)) X / B."""
    s = expit(x @ theta)
    a, slope = s * (1 - s), s * (1 - s) * (1 - 2 * s)
    of_task = x.T @ (s - y) / len(y)
    return of_task, x.T @ (2 * slope * ((x @ x.T) ** 2 @ a)) / len(y) ** 2


class Adam:
    """As Kingma and Ba have it."""

    def __init__(self) -> None:
        self.step, self.first, self.second = 0, 0.0, 0.0

    def __call__(self, gradient: np.ndarray) -> np.ndarray:
        self.step += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean = self.first / (1 - 0.9**self.step)
        return mean / (np.sqrt(self.second / (1 - 0.999**self.step)) + 1e-8)


def by_hand(
    settings: Settings, train: Split, theta: np.ndarray
) -> Iterator[tuple[np.ndarray, float]]:
    """The parameters after each step, and its strength; 0 on steps without the penalty."""
    x = np.c_[train.inputs(np.arange(len(train.y))), np.ones(len(train.y))].astype(np.float64)
    direction = Adam() if settings.optimizer == "adam" else lambda gradient: gradient
    orders = [loop.epoch_order(settings, epoch, len(train.y)) for epoch in range(2)]
    for number, rows in enumerate(np.concatenate(orders), start=1):
        of_task, of_penalty = gradients(theta, x[rows], train.y[rows])
        of_penalty *= 2 / 32 * min(number / 11, 1) * (number % 3 == 0)
        if settings.penalty.decoupled:
            theta = theta - 0.01 * direction(of_task) - 0.01 * of_penalty
        else:
            theta = theta - 0.01 * direction(of_task + of_penalty)
        yield theta, np.linalg.norm(of_penalty) / np.linalg.norm(of_task)


def flat(params: Any) -> np.ndarray:
    (layer,) = params.values()
    return np.append(layer["kernel"][:, 0], layer["bias"]).astype(np.float64)


@pytest.mark.parametrize("decoupled", [False, True], ids=["inside", "decoupled"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_and_strengths_are_those_by_hand(optimizer: str, decoupled: bool) -> None:
    trainer, last = trained(optimizer, decoupled=decoupled)
    start = flat(loop.start(trainer).params)
    steps = list(by_hand(trainer.settings, trainer.splits.train, start))
    np.testing.assert_allclose(flat(last.params), steps[-1][0], rtol=1e-4, atol=1e-6)
    strengths = np.array([strength for _, strength in steps]).reshape(2, 11)
    assert strengths.max() > 0.01
    for row, own in zip(last.rows, strengths, strict=True):
        assert row["strength"] == pytest.approx(own[own > 0].mean(), rel=1e-3)
    full = strengths[1]
    assert record.strength(trainer, last) == pytest.approx(full[full > 0].mean(), rel=1e-3)


def test_for_plain_descent_a_decoupled_penalty_is_none_other_and_for_adam_it_is() -> None:
    def difference(optimizer: str) -> float:
        inside, beside = (
            flat(trained(optimizer, decoupled=decoupled)[1].params) for decoupled in (False, True)
        )
        return float(np.abs(inside - beside).max())

    assert difference("sgd") < 1e-6
    assert difference("adam") > 1e-3


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [(0, [1, 1, 1, 1, 1]), (1, [1, 1, 1, 1, 1]), (4, [0.25, 0.5, 0.75, 1, 1])],
)
def test_the_weight_rises_from_0_and_stays(warmup: int, expected: list[float]) -> None:
    assert loop.rising(np.arange(1, 6), warmup).tolist() == expected


def test_without_a_penalty_there_is_no_strength() -> None:
    trainer = trainer_of(
        problems.breast_cancer(), settings_of("sgd", decoupled=True, lam="0", epochs=1)
    )
    (last,) = loop.fit(trainer, loop.start(trainer))
    assert last.rows[0]["strength"] is None
    assert record.strength(trainer, last) is None
