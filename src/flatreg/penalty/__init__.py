"""The penalty lambda / B * tr(H^2) on one mini-batch: cheap, unbiased, for any training.

H is the Hessian of the mini-batch's mean task loss with respect to the parameters, dropout off,
weight decay left out; tr(H^2) = ||H||_F^2. An *estimator* is built once,

    autodiff(loss)      any loss, by Hessian-vector products
    gram(layer)         a first layer that is linear in its parameters: probes in few dimensions
    exact(layer)        softmax and logistic regression: no probes, no variance
    pairs(network)      dense layers, ReLU between them: products of pairs of examples

and is a differentiable function of the parameters, `estimator(params, x, *labels, key=key)`.
`value_and_grad` adds the penalty to a training step, `flatreg.penalty.updates` to an Optax chain;
`flatreg.penalty.linen` derives the first layer of a Flax module.
"""

from __future__ import annotations

from flatreg.penalty.checking import check
from flatreg.penalty.dense_layers import DenseLayers
from flatreg.penalty.devices import shard_batch
from flatreg.penalty.errors import (
    ArgumentError,
    BatchError,
    DetachedError,
    LossError,
    ModelError,
    ParameterError,
    ProbeError,
    StepError,
    WeightError,
)
from flatreg.penalty.estimator import Estimator
from flatreg.penalty.estimators.autodiff import autodiff
from flatreg.penalty.estimators.exact import exact
from flatreg.penalty.estimators.gram import gram
from flatreg.penalty.estimators.pairs import pairs
from flatreg.penalty.first_layer import FirstLayer
from flatreg.penalty.training import Value, plain_value_and_grad, scale, value_and_grad

__all__ = [
    "ArgumentError",
    "BatchError",
    "DenseLayers",
    "DetachedError",
    "Estimator",
    "FirstLayer",
    "LossError",
    "ModelError",
    "ParameterError",
    "ProbeError",
    "StepError",
    "Value",
    "WeightError",
    "autodiff",
    "check",
    "exact",
    "gram",
    "pairs",
    "plain_value_and_grad",
    "scale",
    "shard_batch",
    "value_and_grad",
]
