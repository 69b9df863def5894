"""Loss, accuracy and calibration of a split, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from flatreg.data.splits import Scaling, Split
from flatreg.train import batches, evaluation
from flatreg.train.evaluation import Evaluation


def evaluated(logits: np.ndarray, y: np.ndarray) -> Evaluation:
    """The evaluation of a model that hands on its inputs as logits."""
    nothing = Scaling(np.float32(0), np.float32(1))
    split = Split(logits.astype(np.float32), y.astype(np.int32), nothing)
    sums = evaluation.block_sums(lambda _, x: x, batches.loader(split))
    return evaluation.of_held(evaluation.hold(split, batches.examples_of(split)), sums)(None)


def calibration_error(confidence: np.ndarray, hits: np.ndarray) -> float:
    """As Guo et al. (2017) define it, bin by bin."""
    error = 0.0
    for number in range(15):
        own = (number / 15 < confidence) & (confidence <= (number + 1) / 15)
        if own.any():
            error += own.mean() * abs(hits[own].mean() - confidence[own].mean())
    return error


def test_of_many_classes() -> None:
    """In three blocks, the last of which is filled up."""
    rng = np.random.default_rng(0)
    logits, y = rng.normal(0, 2, (2500, 7)), rng.integers(0, 7, 2500)
    probabilities, hits = softmax(logits, axis=1), logits.argmax(axis=1) == y
    found = evaluated(logits, y)
    loss = -log_softmax(logits, axis=1)[np.arange(2500), y].mean()
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.accuracy == hits.mean()
    expected = calibration_error(probabilities.max(axis=1), hits)
    assert found.calibration_error == pytest.approx(expected, abs=1e-5)


def test_of_one_logit_it_is_the_probability_of_the_predicted_class() -> None:
    rng = np.random.default_rng(1)
    logits, y = rng.normal(0, 3, (999, 1)), rng.integers(0, 2, 999)
    hits = (logits[:, 0] > 0) == y
    expected = calibration_error(np.maximum(expit(logits), expit(-logits))[:, 0], hits)
    assert evaluated(logits, y).calibration_error == pytest.approx(expected, abs=1e-5)


def test_three_examples_by_hand() -> None:
    """0.9 and 0.62, each alone in its bin, right and wrong; 0.75, predicted class 0, right."""
    logits = np.log([[0.9 / 0.1], [0.62 / 0.38], [0.25 / 0.75]])
    found = evaluated(logits, np.array([1, 0, 0]))
    assert found.calibration_error == pytest.approx((0.1 + 0.62 + 0.25) / 3, abs=1e-6)
    assert found.accuracy == pytest.approx(2 / 3)
