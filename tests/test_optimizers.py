"""Optimizers and schedules by name, against direct calls of optax."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optax
import pytest

from flatreg import optimizers
from flatreg.errors import UserError
from tests import configs

SETTINGS = replace(
    configs.SETTINGS,
    optimizer="adam",
    optimizer_arguments={},
    learning_rate=0.1,
    schedule={"name": "constant_schedule"},
    epochs=4,
    weight_decay=0.0,
    clip_norm=None,
)
PARAMS = {"w": np.array([3.0, -4.0], np.float32)}
GRADIENT = {"w": np.array([0.6, 0.8], np.float32)}


def update(**changes: Any) -> np.ndarray:
    settings = replace(SETTINGS, **changes)
    optimizers.build_schedule(settings, steps_per_epoch=5)
    optimizer = optimizers.build(settings, settings.learning_rate, settings.weight_decay)
    return optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)[0]["w"]


def by_hand(optimizer: optax.GradientTransformation, gradient: np.ndarray) -> np.ndarray:
    return optimizer.update({"w": gradient}, optimizer.init(PARAMS), PARAMS)[0]["w"]


def test_sgd_with_l2_adds_the_decay_to_the_gradient() -> None:
    expected = -0.1 * (GRADIENT["w"] + 0.5 * PARAMS["w"])
    np.testing.assert_allclose(update(optimizer="sgd", weight_decay=0.5), expected, rtol=1e-6)


def test_adamw_decays_by_itself() -> None:
    expected = by_hand(optax.adamw(0.1, weight_decay=0.5), GRADIENT["w"])
    np.testing.assert_allclose(update(optimizer="adamw", weight_decay=0.5), expected, rtol=1e-6)


def test_gradient_is_clipped_before_decay() -> None:
    expected = -0.1 * (0.5 * GRADIENT["w"] + 0.5 * PARAMS["w"])
    result = update(optimizer="sgd", weight_decay=0.5, clip_norm=0.5)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_arguments_reach_the_optimizer() -> None:
    expected = by_hand(optax.sgd(0.1, momentum=0.9, nesterov=True), GRADIENT["w"])
    result = update(optimizer="sgd", optimizer_arguments={"momentum": 0.9, "nesterov": True})
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_null_takes_away_an_argument_of_another_optimizer() -> None:
    expected = by_hand(optax.adam(0.1, b1=0.8), GRADIENT["w"])
    result = update(optimizer="adam", optimizer_arguments={"b1": 0.8, "momentum": None})
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": "constant_schedule"}, optax.constant_schedule(0.1)),
        ({"name": "cosine_decay_schedule"}, optax.cosine_decay_schedule(0.1, 20)),
        (
            {"name": "exponential_decay", "transition_epochs": 1, "decay_rate": 0.9},
            optax.exponential_decay(0.1, 5, 0.9),
        ),
        (
            {"name": "warmup_cosine_decay_schedule", "init_value": 0.0, "warmup_epochs": 1},
            optax.warmup_cosine_decay_schedule(0.0, 0.1, 5, 20),
        ),
    ],
)
def test_schedules_count_in_epochs(schedule: dict[str, Any], expected: optax.Schedule) -> None:
    result = optimizers.learning_rates(replace(SETTINGS, schedule=schedule), steps_per_epoch=5)
    np.testing.assert_allclose(result, [expected(s) for s in range(20)], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamm"}, "optimizer 'adamm' is not in optax"),
        ({"schedule": {"name": "cosine"}}, "schedule 'cosine' is not in optax"),
        (
            {"optimizer_arguments": {"momentum": 1}},
            "no argument 'momentum'; known are b1, .* with null",
        ),
        ({"optimizer_arguments": {"epps": 1}}, "adam has no argument 'epps'; did you mean eps"),
        ({"optimizer_arguments": {"learning_rate": 1}}, "learning_rate has a field of its own"),
        ({"schedule": {"name": "exponential_decay"}}, "exponential_decay needs decay_rate; add"),
        (
            {"schedule": {"name": "warmup_constant_schedule", "warmup_epoch": 1, "init_value": 0}},
            "has no argument 'warmup_epoch'; did you mean warmup_epochs",
        ),
        (
            {"schedule": {"name": "cosine_decay_schedule", "init_value": 1}},
            "init_value of cosine_decay_schedule is the learning_rate; write it there",
        ),
        (
            {"schedule": {"name": "cosine_decay_schedule", "decay_epochs": 1, "decay_steps": 9}},
            "decay_steps is given in epochs too; keep one",
        ),
        (
            {"schedule": {"name": "cosine_decay_schedule", "decay_epochs": None}},
            "decay_epochs must be a number of epochs, not null",
        ),
        (
            {"schedule": {"name": "cosine_decay_schedule", "decay_epochs": -1}},
            "decay_steps of cosine_decay_schedule must be above 0, not -5",
        ),
        (
            {"schedule": {"name": "linear_schedule", "end_value": 0, "transition_begin": -1}},
            "transition_begin of linear_schedule must be at least 0, not -1",
        ),
        (
            {"schedule": {"name": "exponential_decay", "decay_rate": 0}},
            "decay_rate of exponential_decay must be another number, not 0",
        ),
        (
            {"schedule": {"name": "cosine_decay_schedule", "decay_epochs": 1e30}},
            "decay_steps of cosine_decay_schedule must be at most 2147483647, not 49",
        ),
        ({"optimizer_arguments": {"b1": True}}, "b1 of adam must be a number, not true"),
        (
            {"optimizer_arguments": {"nesterov": 0.9}},
            "nesterov of adam must be true or false, not 0.9",
        ),
    ],
)
def test_bad_names_and_arguments_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        update(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("optimizer", "arguments", "message"),
    [
        ("adam", {"b1": None}, "adam takes no step .*; correct its arguments"),
        ("adam", {"b2": 1}, "adam gives no number after 3 steps; correct its arguments"),
        ("adam", {"mu_dtype": 0.5}, "adam.*; correct its arguments"),
    ],
)
def test_an_optimizer_that_takes_no_step_is_one_line(
    optimizer: str, arguments: dict[str, Any], message: str
) -> None:
    settings = replace(SETTINGS, optimizer=optimizer, optimizer_arguments=arguments)
    with pytest.raises(UserError, match=message) as caught:
        optimizers.check_optimizer(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"name": "exponential_decay", "decay_rate": -0.5}, "gives the learning rate nan at step"),
        ({"name": "linear_schedule", "end_value": -1}, "gives the learning rate -0.* at step"),
        ({"name": "cosine_decay_schedule", "alpha": None}, "correct its arguments"),
    ],
)
def test_a_schedule_without_a_rate_is_one_line(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        optimizers.check_schedule(replace(SETTINGS, schedule=schedule), steps_per_epoch=5)
    assert "\n" not in str(caught.value)
