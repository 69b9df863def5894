"""Estimators that do not fit a model or a batch are told before anything is traced."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import pytest

from flatreg import models, objective
from flatreg.config.penalties import check_penalty
from flatreg.config.registries import TARGETS
from flatreg.errors import UserError
from flatreg.penalty import ArgumentError
from tests.config.small import CELL, changed, load, message, study

MODELS = (
    {"name": "logistic_regression"},
    {"name": "mlp", "hidden": [3, 2], "dropout": 0.1},
)


@pytest.mark.parametrize("estimator", TARGETS)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["name"])
def test_the_config_allows_what_can_be_traced(estimator: str, model: dict) -> None:
    completed = load(study())
    for source, batch, probes in itertools.product(("digits", "breast_cancer"), (1, 2), (1, 2)):
        training = completed["protocols"]["stated"]["datasets"][source]
        penalty = training["penalty"] | {"estimator": estimator, "probes": probes}
        training = training | {"model": model, "batch": batch, "penalty": penalty}
        classes = {"digits": 10, "breast_cancer": 2}[source]
        assert _is_allowed(completed, training) == _is_traced(model, classes, batch, penalty)


def _is_allowed(completed: dict, training: dict) -> bool:
    try:
        check_penalty(completed, training, "here")
    except UserError:
        return False
    return True


def _is_traced(model: dict, classes: int, batch: int, penalty: dict) -> bool:
    x, y = jnp.ones((batch, 4)), jnp.zeros(batch, int)
    module = models.build(model, classes)
    options = {name: penalty[name] for name in ("estimator", "probes", "distribution")}
    key = jax.random.key(0)
    params = jax.eval_shape(lambda: module.init(key, x, train=False))["params"]
    try:
        estimator = objective.build(module, x, **options).estimator
        jax.eval_shape(lambda params: estimator(params, x, y, key=key), params)
    except (UserError, ArgumentError):
        return False
    return True


def test_a_cell_without_a_penalty_may_name_any_estimator() -> None:
    given = changed(f"{CELL}.penalty.estimator", "exact")
    assert "exact needs one dense layer" in message(given)
    given["protocols"]["other"] = study()["protocols"]["stated"]
    given["surface"]["protocol"] = "other"
    load(changed(f"{CELL}.lambdas", ["0"], given))


@pytest.mark.parametrize(
    ("where", "value", "line"),
    [
        (
            "breast_cancer",
            {"penalty": {"estimator": "cross_batch"}, "batch": 1},
            "breast_cancer.penalty.estimator: cross_batch halves the batch, which has one example",
        ),
        (
            "digits",
            {"penalty": {"scaling": "interval_fold"}, "batch": 2, "lambdas": ["0", "1e38"]},
            "digits.lambdas: lambda '1e38' times 10 over the batch of 2 is beyond single",
        ),
        (
            "digits",
            {"penalty": {"estimator": "pairs", "probes": 1}},
            "digits.penalty.probes: pairs needs at least 2 sketches of a softmax, not 1; take more",
        ),
    ],
)
def test_a_penalty_that_does_not_fit_is_one_line(where: str, value: dict, line: str) -> None:
    given = study()
    given["protocols"]["stated"]["datasets"][where] |= value
    assert line in message(given)
