"""The loss and prediction of each example, against float64 arithmetic."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flatreg import models
from flatreg.data.splits import Scaling, Split
from flatreg.measure import examples


@pytest.mark.parametrize("classes", [2, 3])
def test_every_example_is_judged_as_float64_judges_it(classes):
    n = examples.BLOCK + 1  # two blocks
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    y = rng.integers(classes, size=n).astype(np.int32)
    split = Split(x, y, Scaling(np.float32(1), np.float32(2)))
    model = models.build({"name": "logistic_regression"}, classes)
    params = model.init(jax.random.key(1), x, train=False)["params"]
    losses, predicted = examples.judge(model, params, split)

    (layer,) = params.values()
    logits = (x - 1.0) / 2.0 @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
    if classes == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(losses, -np.log(chances[np.arange(n), y]), rtol=1e-5)
    np.testing.assert_array_equal(predicted, chances.argmax(axis=1))
