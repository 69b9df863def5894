"""The models against a forward pass written out with NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from flatreg import models
from flatreg.errors import UserError


def parameters(model, width: int):
    return model.init(jax.random.key(0), np.zeros((1, width), np.float32), train=False)["params"]


def test_mlp_without_dropout_is_relu_of_dense_layers() -> None:
    model = models.build({"name": "mlp", "hidden": [5, 4], "dropout": 0.3}, classes=3)
    params = parameters(model, 6)
    x = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    h = x
    for layer in ("Dense_0", "Dense_1"):
        h = np.maximum(h @ params[layer]["kernel"] + params[layer]["bias"], 0)
    expected = h @ params["Dense_2"]["kernel"] + params["Dense_2"]["bias"]
    logits = model.apply({"params": params}, x, train=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_dropout_is_on_in_training_only() -> None:
    model = models.build({"name": "mlp", "hidden": [64], "dropout": 0.5}, classes=3)
    params = parameters(model, 6)
    x = np.ones((1, 6), np.float32)
    draws = [
        model.apply({"params": params}, x, train=True, rngs={"dropout": jax.random.key(k)})
        for k in range(2)
    ]
    assert not np.allclose(draws[0], draws[1])


def test_a_model_may_have_fewer_outputs_than_classes() -> None:
    model = models.build({"name": "logistic_regression", "outputs": 1}, classes=20)
    params = model.init(jax.random.key(0), jnp.ones((2, 4)), train=False)["params"]
    assert params["Dense_0"]["kernel"].shape == (4, 1)
    # It can name but two of them.
    logits = jnp.array([[-1.0], [1.0], [3.0]])
    assert models.predict(logits).tolist() == [0, 1, 1]
    assert models.correct(logits, jnp.array([0, 1, 19])).tolist() == [True, True, False]


@pytest.mark.parametrize(("classes", "outputs"), [(2, 1), (3, 3), (100, 100)])
def test_two_classes_are_one_logit(classes: int, outputs: int) -> None:
    params = parameters(models.build({"name": "logistic_regression"}, classes), 4)
    assert params["Dense_0"]["kernel"].shape == (4, outputs)


def test_losses_are_cross_entropies() -> None:
    rng = np.random.default_rng(1)
    logits, y = rng.normal(size=(8, 4)).astype(np.float32), rng.integers(0, 4, 8)
    expected = -log_softmax(logits, axis=1)[np.arange(8), y]
    np.testing.assert_allclose(models.task_losses(logits, y), expected, rtol=1e-5)
    assert models.task_loss(logits, y) == pytest.approx(expected.mean(), rel=1e-5)
    binary, labels = logits[:, :1], y % 2
    expected = -np.log(np.where(labels == 1, expit(binary[:, 0]), expit(-binary[:, 0])))
    np.testing.assert_allclose(models.task_losses(binary, labels), expected, rtol=1e-5)


def test_correct_counts_the_largest_logit() -> None:
    logits = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 2.0]], np.float32)
    assert models.correct(logits, np.array([1, 2])).tolist() == [True, False]
    binary = np.array([[0.5], [-0.5]], np.float32)
    assert models.correct(binary, np.array([1, 1])).tolist() == [True, False]


def test_unknown_model_and_attribute_are_one_line() -> None:
    with pytest.raises(
        UserError, match="model 'cnn' is unknown; choose one of logistic_regression, mlp"
    ):
        models.build({"name": "cnn"}, 3)
    with pytest.raises(UserError, match=r"unexpected keyword argument 'width'.*config"):
        models.build({"name": "logistic_regression", "width": 3}, 3)
