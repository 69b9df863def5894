"""The estimators agree on the study's own models and real mini-batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO
from sklearn.datasets import load_breast_cancer, load_digits

from flatreg import models, objective, penalty
from flatreg.data.csr import read_csr
from flatreg.data.sources import reader
from flatreg.data.text import tfidf
from flatreg.errors import UserError

PROBES = {"probes": 5, "distribution": "rademacher"}
MLP = {"name": "mlp", "hidden": [512, 256], "dropout": 0.3}


def standardized(x: np.ndarray) -> np.ndarray:
    deviation = x.std(axis=0)
    return ((x - x.mean(axis=0)) / np.where(deviation == 0, 1, deviation)).astype(np.float32)


def agree(model: Any, x: np.ndarray, y: np.ndarray) -> None:
    """gram and autodiff have the same mean value, and mean gradient along one direction."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    params = model.init(jax.random.key(0), x, train=False)["params"]
    runs = {}
    for name in ("autodiff", "gram"):
        estimator = objective.build(model, x, estimator=name, **PROBES).estimator
        runs[name] = jax.jit(jax.value_and_grad(lambda p, k, e=estimator: e(p, x, y, key=k)))
    keys = jax.random.split(jax.random.key(1), 97)
    _, direction = runs["autodiff"](params, keys[0])
    samples = {}
    for name, run in runs.items():
        drawn = [run(params, key) for key in keys[1:]]
        samples[name] = np.array([[v, optax.tree.vdot(g, direction)] for v, g in drawn])
    one, other = samples["autodiff"], samples["gram"]
    error = np.hypot(one.std(axis=0, ddof=1), other.std(axis=0, ddof=1)) / np.sqrt(len(one))
    mean = one.mean(axis=0)
    assert np.all(np.abs(mean - other.mean(axis=0)) <= 4 * error)
    assert np.all(error < 0.1 * np.abs(mean))


def test_on_breast_cancer() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    agree(models.build(MLP, 2), standardized(x)[:32], y[:32])


@pytest.mark.slow
def test_on_pictures_of_digits() -> None:
    x, y = load_digits(return_X_y=True)
    agree(models.build(MLP, 10), standardized(x)[:64], y[:64])


@pytest.mark.slow
@pytest.mark.realdata
def test_on_cifar100() -> None:
    prepared = reader("cifar100")({})
    x = standardized(prepared.arrays["x_train"][:2000].reshape(2000, -1).astype(np.float32))
    agree(models.build(MLP, 100), x[:128], prepared.labels["train"][:128])


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("source", "classes", "words"), [("newsgroups20", 20, 60), ("imdb_reviews", 2, 1000)]
)
def test_exact_is_dense_on_a_real_batch_of_texts(source: str, classes: int, words: int) -> None:
    """As many words as a dense Hessian allows; the batch is passed dense and sparse."""
    prepared = reader(source)({})
    counts = (read_csr(prepared.arrays, f"whole_{split}") for split in ("train", "test"))
    features, _, _ = tfidf(*counts, {"vocabulary": words, "sublinear_tf": True})
    x, y = features[:32].toarray(), prepared.labels["train"][:32]
    with jax.enable_x64(True):
        dense = jnp.asarray(x, jnp.float64)
        model = models.build({"name": "logistic_regression"}, classes)
        params = model.init(jax.random.key(0), dense, train=False)["params"]
        flat, unravel = jax.flatten_util.ravel_pytree(
            jax.tree.map(lambda p: p.astype(jnp.float64) + 0.1, params)
        )
        found = objective.build(model, dense, estimator="exact", **PROBES).estimator

        def loss(flat: Any) -> Any:
            logits = model.apply({"params": unravel(flat)}, dense, train=False)
            return models.task_loss(logits, y)

        truth = jnp.sum(jax.hessian(loss)(flat) ** 2)
        slope = jax.jit(jax.grad(lambda p, x: found(p, x, y, key=None)))
        for batch in (dense, BCOO.fromdense(dense)):
            np.testing.assert_allclose(found(unravel(flat), batch, y, key=None), truth, rtol=1e-10)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15),
            slope(unravel(flat), dense),
            slope(unravel(flat), BCOO.fromdense(dense)),
        )


def test_the_config_s_estimator_that_does_not_fit_is_one_line() -> None:
    x = jnp.zeros((4, 30))
    with pytest.raises(UserError, match=r"'exact' does not fit: model is MLP.*estimator: auto"):
        objective.build(models.build(MLP, 2), x, estimator="exact", **PROBES)


@pytest.mark.parametrize(
    ("model", "classes", "name"),
    [
        (MLP, 2, "pairs"),
        (MLP, 10, "gram"),
        ({"name": "logistic_regression"}, 2, "exact"),
        ({"name": "logistic_regression"}, 10, "exact"),
    ],
)
def test_auto_takes_the_cheapest_and_says_why(
    model: dict[str, Any], classes: int, name: str
) -> None:
    network, x = models.build(model, classes), jnp.zeros((4, 30))
    chosen = objective.build(network, x, estimator="auto", **PROBES)
    assert isinstance(chosen.estimator, penalty.Estimator)
    assert chosen.estimator.name == name
    assert chosen.reason
