"""The names in the schema have descriptions, and the library and Optax know them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flatreg import config, models, objective, penalty
from flatreg.config.registries import TARGETS
from flatreg.data.sources import SOURCES
from flatreg.penalty import hutchinson
from tests.config.small import EXPANDED, TRAINING, changed, load


def test_every_field_is_described():
    def fields(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(schema, dict):
            for name, part in schema.items():
                if name == "properties":
                    yield from ((f"{where}.{key}", field) for key, field in part.items())
                if name not in ("if", "then"):
                    yield from fields(part, f"{where}.{name}")

    found = list(fields(EXPANDED, ""))
    assert len(found) > 70
    for where, field in found:
        assert len(field["description"]) > 4, where


def test_no_section_takes_unknown_keys_but_arguments_of_optax():
    def sections(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(schema, dict):
            if "object" in str(schema.get("type")):
                yield where, schema
            for name, part in schema.items():
                yield from sections(part, f"{where}.{name}")

    free = {where.split(".")[-1] for where, s in sections(EXPANDED, "") if _takes_anything(s)}
    assert free == {"optimizer_arguments", "schedule"}


def _takes_anything(section: dict[str, Any]) -> bool:
    """Whether a section allows any key, if only for arguments of optax that are not text."""
    arguments = {"type": ["number", "boolean", "null"]}
    return "$ref" not in section and section.get("additionalProperties", True) in (True, arguments)


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "auto"])
def test_the_config_knows_what_each_estimator_estimates(name):
    x = jnp.ones((2, 8))
    model = models.build({"name": "mlp", "hidden": [8], "dropout": 0.1}, classes=3)
    if name == "exact":
        model = models.build({"name": "logistic_regression"}, classes=3)
    made = objective.build(model, x, estimator=name, probes=2, distribution="rademacher")
    assert made.estimator.target == TARGETS[name]


def test_models_estimators_and_sources_are_the_librarys():
    fields = TRAINING["properties"]
    assert set(fields["model"]["properties"]["name"]["enum"]) == set(models.NAMES)
    assert set(fields["source"]["enum"]) == set(SOURCES)
    chosen = fields["penalty"]["properties"]
    assert set(chosen["estimator"]["enum"]) == set(TARGETS)
    assert set(chosen["distribution"]["enum"]) == set(hutchinson.DISTRIBUTIONS)
    for scaling in chosen["scaling"]["enum"]:
        assert penalty.scale(1.0, batch=2, interval=3, scaling=scaling) > 0


@pytest.mark.parametrize("name", TRAINING["properties"]["optimizer"]["enum"])
def test_each_optimizer_of_the_schema_takes_a_step(name):
    optimizer = getattr(optax, name)(learning_rate=0.1)
    params = {"w": jnp.ones((2, 2))}
    gradient = {"w": jnp.ones((2, 2))}
    _, state = optimizer.update(gradient, optimizer.init(params), params)
    updates, _ = optimizer.update(gradient, state, params)
    assert np.isfinite(updates["w"]).all()
    assert np.any(updates["w"] != 0)


def test_the_schema_has_every_optimizer_that_needs_only_a_gradient():
    others = {
        "lbfgs": "needs the loss",
        "noisy_sgd": "needs a key",
        "optimistic_adam": "deprecated",
        "optimistic_adam_v2": "alpha and beta beside the learning rate",
    }
    found = {
        name
        for name, value in vars(optax).items()
        if inspect.isfunction(value) or isinstance(value, partial)
        if not name.startswith(("_", "scale_by"))
        if "learning_rate" in inspect.signature(value).parameters
    }
    assert found - set(others) == set(TRAINING["properties"]["optimizer"]["enum"])


SCHEDULE_ARGUMENTS = {
    "exponential_decay": {"decay_rate": 0.5},
    "linear_schedule": {"end_value": 0.0},
    "polynomial_schedule": {"end_value": 0.0, "power": 2},
    "warmup_constant_schedule": {"init_value": 0.0, "warmup_epochs": 1},
    "warmup_cosine_decay_schedule": {"init_value": 0.0, "warmup_epochs": 1},
    "warmup_exponential_decay_schedule": {"init_value": 0.0, "warmup_epochs": 1, "decay_rate": 1},
}


@pytest.mark.parametrize("name", TRAINING["properties"]["schedule"]["properties"]["name"]["enum"])
def test_each_schedule_of_the_schema_can_be_built(name):
    schedule = {"name": name} | SCHEDULE_ARGUMENTS.get(name, {})
    config.check_optimizers(load(changed("protocols.stated.training.schedule", schedule)))
