"""Small random models, in plain JAX and float64, with dense reference values."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from flatreg import penalty

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "softplus": jax.nn.softplus}
PIECEWISE_LINEAR = {
    "relu": jax.nn.relu,
    "leaky_relu": partial(jax.nn.leaky_relu, negative_slope=0.3),
    "identity": lambda z: z,
}

# Each drawn problem is compiled, so that to shrink one that fails would take minutes.
DRAWN = settings(
    max_examples=20, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)

# Shapes that the random drawing of the estimators' spread is shown on.
SHAPES = {
    "one logit": {"width": 3, "hidden": [], "logits": 1, "batch": 4},
    "softmax": {"width": 3, "hidden": [], "logits": 4, "batch": 6},
    "wide inputs": {"width": 9, "hidden": [3], "logits": 3, "batch": 4},
    "many examples": {"width": 2, "hidden": [3], "logits": 1, "batch": 8},
    "two hidden layers": {"width": 5, "hidden": [3, 2], "logits": 2, "batch": 3},
    "no biases": {"width": 6, "hidden": [3], "logits": 3, "batch": 4, "bias": False},
    "ReLU": {"width": 6, "hidden": [4], "logits": 3, "batch": 4, "activation": "relu"},
    "a batch of one": {"width": 4, "hidden": [2], "logits": 3, "batch": 1},
    "equal rows": {"width": 6, "hidden": [2], "logits": 2, "batch": 4, "rows": "repeated"},
}


class Problem(NamedTuple):
    """A model's parameters and one batch.

    Attributes:
        params: one dictionary per layer, `kernel` [d, h] and, with biases, `bias` [h].
        x: [B, d]
        y: int [B]
        activation: name of `ACTIVATIONS` or `PIECEWISE_LINEAR`.
    """

    params: list[dict[str, jax.Array]]
    x: jax.Array
    y: jax.Array
    activation: str

    @property
    def layer(self) -> penalty.FirstLayer:
        def split(params: Any) -> Any:
            return params[0]["kernel"], params[0].get("bias"), params[1:]

        def loss(zeta: Any, _: Any, y: Any) -> Any:
            return cross_entropy(after_first(*zeta, self.activation), y)

        return penalty.FirstLayer(split, loss, bias="bias" in self.params[0])

    @property
    def network(self) -> penalty.DenseLayers:
        return penalty.DenseLayers(
            split=lambda params: [(layer["kernel"], layer.get("bias")) for layer in params],
            loss=cross_entropy,
            activation=(ACTIVATIONS | PIECEWISE_LINEAR)[self.activation],
            bias="bias" in self.params[0],
        )

    def logits(self, params: Any, x: Any) -> Any:
        """[B, C], without any part of the library."""
        z = x @ params[0]["kernel"] + params[0].get("bias", 0.0)
        return after_first(z, params[1:], self.activation)

    def loss(self, params: Any, x: Any, y: Any) -> Any:
        """Mean cross-entropy, without any part of the library."""
        return cross_entropy(self.logits(params, x), y)

    def tr_h2(self, params: Any) -> Any:
        """||H||_F^2 of the dense Hessian."""
        flat, unravel = ravel_pytree(params)
        hessian = jax.hessian(lambda p: self.loss(unravel(p), self.x, self.y))(flat)
        return jnp.sum(hessian**2)

    def truth(self) -> tuple[float, np.ndarray]:
        """||H||_F^2 of the dense Hessian and its gradient [n]."""
        value, gradient = jax.jit(jax.value_and_grad(self.tr_h2))(self.params)
        return float(value), np.asarray(ravel_pytree(gradient)[0])

    def estimators(self, **settings: Any) -> dict[str, penalty.Estimator]:
        """All estimators that fit: `exact` if the first layer is the only one."""
        found = {
            "autodiff": penalty.autodiff(self.loss, **settings),
            "gram": penalty.gram(self.layer, **settings),
        }
        return found if self.params[1:] else found | {"exact": penalty.exact(self.layer)}


def after_first(z: Any, layers: Any, activation: str) -> Any:
    function = (ACTIVATIONS | PIECEWISE_LINEAR)[activation]
    for layer in layers:
        z = function(z) @ layer["kernel"] + layer.get("bias", 0.0)
    return z


def cross_entropy(logits: Any, y: Any) -> Any:
    if logits.shape[1] == 1:
        return jnp.mean(jax.nn.softplus(jnp.where(y == 1, -logits[:, 0], logits[:, 0])))
    chosen = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)


def value_and_gradient(estimator: penalty.Estimator, problem: Problem, key: Any) -> tuple[Any, Any]:
    """Value and gradient of tr(H^2), by one compiled call."""
    run = jax.jit(jax.value_and_grad(lambda p, k: estimator(p, problem.x, problem.y, key=k)))
    value, gradient = run(problem.params, key)
    return value, ravel_pytree(gradient)[0]


def make(
    *,
    seed: int,
    width: int,
    hidden: list[int],
    logits: int,
    batch: int,
    bias: bool = True,
    activation: str = "tanh",
    rows: str = "distinct",
) -> Problem:
    """A problem of these shapes; `rows` are "distinct", "repeated" or "zero" (one row is zero)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, width))
    if rows == "repeated":
        x[-1] = x[0]
    if rows == "zero":
        x[-1] = 0
    widths = [width, *hidden, logits]
    params = []
    for d, h in itertools.pairwise(widths):
        layer = {"kernel": jnp.asarray(rng.normal(size=(d, h)) / np.sqrt(d))}
        params.append(layer | ({"bias": jnp.asarray(0.3 * rng.normal(size=h))} if bias else {}))
    y = rng.integers(0, max(2, logits), size=batch)
    return Problem(params, jnp.asarray(x), jnp.asarray(y), activation)


def problems(max_hidden: int = 1, max_width: int = 5) -> st.SearchStrategy[Problem]:
    """Problems of all shapes: more or fewer features than examples, a batch of one, no biases."""
    return st.builds(
        make,
        seed=st.integers(0, 2**32 - 1),
        width=st.integers(1, max_width),
        hidden=st.lists(st.integers(1, 3), max_size=max_hidden),
        logits=st.sampled_from([1, 2, 3]),
        batch=st.integers(1, 4),
        bias=st.booleans(),
        activation=st.sampled_from(sorted(ACTIVATIONS)),
        rows=st.sampled_from(["distinct", "repeated", "zero"]),
    )
