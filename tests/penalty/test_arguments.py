"""Each invalid argument raises a typed error that names it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO, BCSR
from jax.sharding import AxisType

from flatreg import penalty
from flatreg.penalty import linen

KEY = jax.random.key(0)
X = jnp.ones((4, 3))
Y = jnp.array([0, 1, 1, 0])
PARAMS = {"w": jnp.full(3, 0.5)}


def loss(params: Any, x: Any, y: Any) -> Any:
    return jnp.mean(jnp.logaddexp(0.0, (1 - 2 * y) * (x @ params["w"])))


def estimate(loss: Any = loss, params: Any = PARAMS, x: Any = X, **settings: Any) -> Any:
    return penalty.autodiff(loss, **settings)(params, x, Y, key=KEY)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": lambda p, x, y: x @ p["w"]}, penalty.LossError, r"float32\[4\]; expected .*\[\]"),
        ({"loss": lambda p, x, y: (1.0, 2.0)}, penalty.LossError, "returns tuple"),
        ({"loss": lambda p, x, y: jnp.sum(y)}, penalty.LossError, r"returns int32\[\]"),
        ({"params": {}}, penalty.ParameterError, "params is empty"),
        ({"params": {"w": jnp.arange(3)}}, penalty.ParameterError, r"params\['w'\] is int32\[3\]"),
        ({"params": PARAMS | {"n": "dense"}}, penalty.ParameterError, r"params\['n'\] is str;"),
        ({"params": PARAMS | {"f": jnp.tanh}}, penalty.ParameterError, r"params\['f'\] is "),
        ({"params": PARAMS | {"s": 3}}, penalty.ParameterError, r"params\['s'\] is int"),
        (
            {"params": PARAMS | {"o": np.array([None])}},
            penalty.ParameterError,
            r"params\['o'\] is object\[1\]",
        ),
        (
            {"params": PARAMS | {"s": jax.ShapeDtypeStruct((2,), jnp.float32)}},
            penalty.ParameterError,
            r"params\['s'\] is a ShapeDtypeStruct",
        ),
        ({"x": jnp.ones((0, 3))}, penalty.BatchError, r"x is float32\[0, 3\]"),
        ({"x": {"mode": "train"}}, penalty.BatchError, r"x\['mode'\] is str; expected an array"),
        ({"x": np.array(["a"])}, penalty.BatchError, r"x is <U1\[1\]; expected an array"),
        ({"probes": 0}, penalty.ProbeError, "probes is 0; expected a whole number of at least 1"),
        ({"probes": 2.0}, penalty.ProbeError, r"probes is 2\.0"),
        ({"probes": True}, penalty.ProbeError, "probes is True"),
        ({"distribution": "cauchy"}, penalty.ProbeError, "'cauchy'; expected one of rademacher"),
    ],
)
def test_an_estimator_says_what_it_cannot_work_with(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        estimate(**changes)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_a_training_step_says_the_same() -> None:
    step = penalty.value_and_grad(penalty.autodiff(lambda p, x, y: x @ p["w"]))
    with pytest.raises(penalty.LossError, match="loss is a function"):
        jax.jit(step)(PARAMS, X, Y, key=KEY, weight=0.1)


def test_a_whole_number_of_numpy_s_and_a_parameter_of_python_s_are_well() -> None:
    def shifted(params: Any, x: Any, y: Any) -> Any:
        return loss(params, x, y) + params["shift"] ** 2

    assert estimate(shifted, PARAMS | {"shift": 0.5}, probes=np.int64(2)) > 0


def step_of(task: Any = None, interval: Any = 10, **settings: Any) -> Any:
    return penalty.value_and_grad(penalty.autodiff(loss), interval=interval, task=task, **settings)


def test_a_step_that_is_missing() -> None:
    with pytest.raises(penalty.StepError, match=r"step is missing; .* as 10 is to divide it"):
        step_of()(PARAMS, X, Y, key=KEY, weight=0.1)
    step_of(interval=1)(PARAMS, X, Y, key=KEY, weight=0.1)


@pytest.mark.parametrize("interval", [0, -1, 2.5, True])
def test_an_interval_that_is_no_whole_number_above_0(interval: Any) -> None:
    with pytest.raises(penalty.StepError, match=f"interval is {interval}; expected a whole"):
        step_of(interval=interval)
    with pytest.raises(penalty.StepError, match="interval is"):
        penalty.scale(0.1, batch=4, interval=interval, scaling="per_application")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lam": -1.0}, r"lam is -1\.0"),
        ({"lam": math.nan}, "lam is nan"),
        ({"batch": 0}, "batch is 0"),
        ({"scaling": "twice"}, "'twice'; expected one of per_application, interval_fold"),
    ],
)
def test_a_weight_that_is_none(changes: dict[str, Any], message: str) -> None:
    well = {"lam": 0.1, "batch": 4, "interval": 10, "scaling": "interval_fold"}
    with pytest.raises(penalty.WeightError, match=message):
        penalty.scale(**well | changes)


@pytest.mark.parametrize("name", ["lam", "batch"])
def test_scale_inside_jit(name: str) -> None:
    well = {"lam": 0.1, "batch": 4, "interval": 10, "scaling": "interval_fold"}
    with pytest.raises(penalty.WeightError, match=rf"{name} is traced, .*no jit"):
        jax.jit(lambda given: penalty.scale(**well | {name: given}))(2)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (math.nan, "weight is nan; expected a finite number of at least 0"),
        (-0.1, r"weight is -0\.1"),
        (np.float32(np.inf), "weight is .*inf"),
        (jnp.float32(jnp.nan), "weight is .*nan"),
        (jnp.ones(2), r"weight is float32\[2\]; expected one number, shape \[\]"),
        ("0.1", "weight is str; expected a real number"),
        (1j, "weight is complex; expected a real number"),
    ],
)
def test_a_weight_of_a_step_that_is_none(weight: Any, message: str) -> None:
    with pytest.raises(penalty.WeightError, match=message):
        step_of(interval=1)(PARAMS, X, Y, key=KEY, weight=weight)


def test_a_traced_vector_of_weights() -> None:
    run = jax.jit(lambda weight: step_of(interval=1)(PARAMS, X, Y, key=KEY, weight=weight))
    with pytest.raises(penalty.WeightError, match=r"weight is float32\[2\]"):
        run(jnp.ones(2))


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        (lambda p, x, y: x @ p["w"], {}, r"task is a function that returns float32\[4\]"),
        (lambda p, x, y: loss(p, x, y), {"has_aux": True}, r"returns float32\[\]; expected \(loss"),
        (lambda p, x, y: (loss(p, x, y), 1), {}, "task is a function that returns tuple"),
    ],
)
def test_a_task_that_is_no_loss(task: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(penalty.LossError, match=message):
        step_of(task, **settings)(PARAMS, X, Y, key=KEY, weight=0.1, step=1)


def test_check_passes_what_is_well() -> None:
    penalty.check(penalty.autodiff(loss), PARAMS, X, Y, key=KEY)


@pytest.mark.parametrize(("row", "value"), [(0, jnp.nan), (3, jnp.inf)])
def test_check_finds_inputs_that_are_not_finite(row: int, value: float) -> None:
    with pytest.raises(penalty.BatchError, match=r"x is float32\[4, 3\] with NaN or infinity"):
        penalty.check(penalty.autodiff(loss), PARAMS, X.at[row, 1].set(value), Y, key=KEY)


def test_check_passes_plain_logistic_regression_at_zero() -> None:
    """tr(H^2) has its maximum there: a zero gradient is correct."""
    layer = logistic(lambda zeta, x, y: jnp.mean(jnp.logaddexp(0.0, (1 - 2 * y) * zeta[0][:, 0])))
    x = jax.random.normal(KEY, (4, 3))
    for estimator in (penalty.exact(layer), penalty.gram(layer)):
        penalty.check(estimator, {"w": jnp.zeros((3, 1)), "b": jnp.zeros(1)}, x, Y, key=KEY)


def test_check_finds_a_loss_that_exact_is_not_for() -> None:
    layer = logistic(lambda zeta, x, y: jnp.mean((zeta[0][:, 0] - y) ** 2))
    params = {"w": jnp.ones((3, 1)), "b": jnp.zeros(1)}
    with pytest.raises(penalty.ModelError, match=r"layer.loss is another function .* `gram`"):
        penalty.check(penalty.exact(layer), params, X, Y, key=KEY)


def test_check_finds_a_value_that_is_not_finite() -> None:
    def overflowing(params: Any, x: Any, y: Any) -> Any:
        return jnp.exp(200 * jnp.sum(params["w"]))

    with pytest.raises(penalty.LossError, match="loss is not finite"):
        penalty.check(penalty.autodiff(overflowing), PARAMS, X, Y, key=KEY)


def test_check_finds_a_detached_loss() -> None:
    def detached(params: Any, x: Any, y: Any) -> Any:
        return loss(jax.lax.stop_gradient(params), x, y)

    with pytest.raises(penalty.DetachedError, match=r"loss is .* gradient is zero though"):
        penalty.check(penalty.autodiff(detached), PARAMS, X, Y, key=KEY)


def test_check_finds_a_detached_penalty() -> None:
    honest = penalty.autodiff(loss)
    detached = dataclasses.replace(
        honest, trace=lambda *batch, key: jax.lax.stop_gradient(honest.trace(*batch, key=key))
    )
    with pytest.raises(penalty.DetachedError, match=r"tr\(H_b\^2\) is .* gradient is zero though"):
        penalty.check(detached, PARAMS, X, Y, key=KEY)


def test_check_lets_a_constant_hessian_pass() -> None:
    """tr(H^2) of a quadratic loss is constant: a zero gradient is correct."""

    def quadratic(params: Any, x: Any, y: Any) -> Any:
        return jnp.mean((x @ params["w"] - y) ** 2)

    penalty.check(penalty.autodiff(quadratic), PARAMS, X, Y, key=KEY)


@pytest.mark.parametrize("traced", ["params", "nothing"])
def test_check_inside_jit(traced: str) -> None:
    def check(params: Any) -> None:
        ours = params if traced == "params" else PARAMS
        penalty.check(penalty.autodiff(loss), ours, X, Y, key=KEY)

    with pytest.raises(penalty.ArgumentError, match="check is called inside jit"):
        jax.jit(check)(PARAMS)


def test_check_holds_a_layer_s_loss_against_the_model_s() -> None:
    def model(params: Any, x: Any, y: Any) -> Any:
        logits = jnp.tanh(x @ params["w"] + params["b"])[:, 0]
        return jnp.mean(jnp.logaddexp(0.0, (1 - 2 * y) * logits))

    def forgets_tanh(zeta: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jnp.logaddexp(0.0, (1 - 2 * y) * zeta[0][:, 0]))

    params, x = {"w": jnp.ones((3, 1)), "b": jnp.zeros(1)}, jax.random.normal(KEY, (4, 3))
    wrong = logistic(forgets_tanh)
    well = logistic(lambda zeta, x, y: forgets_tanh((jnp.tanh(zeta[0]), ()), x, y))
    penalty.check(penalty.gram(wrong), params, x, Y, key=KEY)
    penalty.check(penalty.gram(well), params, x, Y, key=KEY, reference=model)
    with pytest.raises(penalty.ModelError, match="loss is a function whose value is not that of"):
        penalty.check(penalty.gram(wrong), params, x, Y, key=KEY, reference=model)


def test_check_holds_the_hessian_against_the_model_s_where_value_and_gradient_agree() -> None:
    """As a loss with a stopped gradient inside, or in a point where two functions touch."""

    def touching(params: Any, x: Any, y: Any) -> Any:
        return loss(params, x, y) + jnp.sum((params["w"] - 0.5) ** 2)

    with pytest.raises(penalty.ModelError, match="whose Hessian is not that of `reference`"):
        penalty.check(penalty.autodiff(touching), PARAMS, X, Y, key=KEY, reference=loss)


def logistic(loss: Any) -> penalty.FirstLayer:
    return penalty.FirstLayer(split=lambda p: (p["w"], p["b"], ()), loss=loss)


@pytest.mark.parametrize(
    ("params", "x", "error", "message"),
    [
        ({"w": jnp.ones((3, 2)), "b": jnp.ones(1)}, X, penalty.ModelError, r"of bias float32\[1\]"),
        ({"w": jnp.ones(3), "b": jnp.ones(1)}, X, penalty.ModelError, r"of kernel float32\[3\]"),
        ({"w": jnp.ones((3, 1)), "b": None}, X, penalty.ModelError, "without the bias that"),
        (
            {"w": jnp.ones((3, 1)), "b": jnp.ones(1), "c": jnp.ones(5)},
            X,
            penalty.ModelError,
            "split into 4 numbers of 9",
        ),
        (
            {"w": jnp.ones((3, 1)), "b": jnp.ones(1)},
            jnp.ones((4, 2, 3)),
            penalty.BatchError,
            r"x is float32\[4, 2, 3\]; expected a matrix",
        ),
    ],
)
def test_a_first_layer_that_is_split_wrongly(
    params: Any, x: Any, error: type[Exception], message: str
) -> None:
    layer = logistic(lambda zeta, x, y: jnp.mean(zeta[0]))
    with pytest.raises(error, match=message):
        penalty.gram(layer)(params, x, Y, key=KEY)


def test_a_first_layer_with_a_bias_that_it_denies() -> None:
    layer = logistic(lambda zeta, x, y: jnp.mean(zeta[0]))._replace(bias=False)
    with pytest.raises(penalty.ModelError, match="with a bias; expected bias=True"):
        penalty.gram(layer)({"w": jnp.ones((3, 1)), "b": jnp.ones(1)}, X, Y, key=KEY)


class Convolutional(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(nn.Conv(3, (2,))(x[..., None]).reshape(len(x), -1))


class Twice(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(x) + nn.Dense(2)(x)


class Shared(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = nn.Dense(3)
        return dense(dense(x))


class Normalized(nn.Module):
    """The effective kernel is not a parameter but a function of parameters."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.WeightNorm(nn.Dense(3))(x)


class Doubled(nn.Dense):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return 2 * super().__call__(x)


class Tied(nn.Module):
    """A linear autoencoder whose decoder is the first kernel, transposed."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        encoder = nn.Dense(2, use_bias=False)
        return encoder(x) @ encoder.variables["params"]["kernel"].T


class WithStatistics(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.BatchNorm(use_running_average=True)(nn.Dense(3)(x))


def test_gram_asks_for_a_module_s_other_collections() -> None:
    with pytest.raises(penalty.ModelError, match=r"WithStatistics, .* params .*variables="):
        linen.first_layer(WithStatistics(), X, lambda logits, y: jnp.mean(logits))


def test_gram_refuses_all_variables_in_place_of_the_parameters() -> None:
    layer = linen.first_layer(nn.Dense(3), X, lambda logits, y: jnp.mean(logits**2))
    variables = nn.Dense(3).init(KEY, X)
    with pytest.raises(penalty.ModelError, match=r"without kernel, with params; .*\['params'\]"):
        penalty.gram(layer)(variables, X, Y, key=KEY)


@pytest.mark.parametrize(
    "module", [Convolutional(), Twice(), Shared(), Normalized(), Doubled(3), Tied()]
)
def test_gram_refuses_a_module_that_does_not_fit_by_its_name(module: nn.Module) -> None:
    with pytest.raises(penalty.ModelError, match=f"{type(module).__name__}.*`autodiff`"):
        linen.first_layer(module, X, lambda logits, y: jnp.mean(logits))


def test_exact_refuses_layers_beside_the_first() -> None:
    layer = penalty.FirstLayer(
        split=lambda p: (p["w"], None, p["rest"]),
        loss=lambda zeta, x, y: jnp.mean(zeta[0] * zeta[1]),
        bias=False,
    )
    params = {"w": jnp.ones((3, 1)), "rest": jnp.ones(1)}
    with pytest.raises(penalty.ModelError, match=r"followed by 1 more .* `gram` fits"):
        penalty.exact(layer)(params, X, Y, key=KEY)


def test_a_batch_that_does_not_divide_the_devices() -> None:
    """The mesh has more devices than this process, so it is abstract."""
    three = jax.sharding.AbstractMesh((3,), ("data",), axis_types=(AxisType.Auto,))
    with pytest.raises(penalty.BatchError, match=r"batch\[0\] is float32\[4, 3\].*3 devices"):
        penalty.shard_batch(three, X, Y)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (({"img": X, "mask": X},), r"batch\[0\]\['img'\] is float32\[4, 3\]"),
        ((X[:3], "train"), r"batch\[1\] is str; expected an array"),
        ((BCOO.fromdense(X, n_batch=1),), r"batch\[0\] is BCOO\[4, 3\]; .* without batch dim"),
        ((BCSR.fromdense(X),), r"batch\[0\] is BCSR\[4, 3\]"),
    ],
)
def test_a_batch_that_cannot_be_sharded(batch: Any, message: str) -> None:
    three = jax.sharding.AbstractMesh((3,), ("data",), axis_types=(AxisType.Auto,))
    with pytest.raises(penalty.BatchError, match=message):
        penalty.shard_batch(three, *batch)


def test_a_mesh_whose_shardings_are_explicit() -> None:
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))
    with pytest.raises(
        penalty.BatchError, match=r"'data' is AxisType\.Explicit; expected AxisType\.Auto"
    ):
        penalty.shard_batch(mesh, X, Y)
