"""The penalty lambda / B * tr(H^2) on one mini-batch: cheap, unbiased, for any training.

H is the Hessian of the mini-batch's mean task loss with respect to the parameters, dropout off,
weight decay left out; tr(H^2) = ||H||_F^2. An *estimator* is built once,

    autodiff(loss)      any loss, by Hessian-vector products
    gram(layer)         a first layer that is linear in its parameters: probes in few dimensions
    exact(layer)        softmax and logistic regression: no probes, no variance
    pairs(network)      dense layers, ReLU between them: products of pairs of examples

and is a differentiable function of the parameters, `estimator(params, x, *labels, key=key)`. Its
`target` says what it estimates. Others estimate what is penalized in place of the mini-batch's
tr(H^2):

    cross_batch(loss)                   tr(H^2) of the loss that the mini-batch is a sample of
    gauss_newton(logits, loss)          tr(G^2), G the Gauss-Newton part of H
    hessian_trace(loss)                 tr(H)
    gauss_newton_trace(logits, loss)    tr(G)

`value_and_grad` adds the penalty to a training step, `flatreg.penalty.updates` to an Optax chain;
`flatreg.penalty.linen` and `flatreg.penalty.nnx` derive the layers of a Flax model. `by_layer` says
where in the model tr(H^2) lies.
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
from flatreg.penalty.estimators.cross_batch import cross_batch
from flatreg.penalty.estimators.exact import exact
from flatreg.penalty.estimators.gauss_newton import gauss_newton
from flatreg.penalty.estimators.gauss_newton_trace import gauss_newton_trace
from flatreg.penalty.estimators.gram import gram
from flatreg.penalty.estimators.hessian_trace import hessian_trace
from flatreg.penalty.estimators.pairs import pairs
from flatreg.penalty.first_layer import FirstLayer
from flatreg.penalty.layers import by_layer
from flatreg.penalty.training import (
    Value,
    plain_value_and_grad,
    scale,
    value_and_grad,
    value_and_grads,
)

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
    "by_layer",
    "check",
    "cross_batch",
    "exact",
    "gauss_newton",
    "gauss_newton_trace",
    "gram",
    "hessian_trace",
    "pairs",
    "plain_value_and_grad",
    "scale",
    "shard_batch",
    "value_and_grad",
    "value_and_grads",
]
