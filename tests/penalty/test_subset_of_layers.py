"""`gram`, `exact` and `pairs` of some of the parameters, against the dense block in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental.sparse import BCOO
from jax.flatten_util import ravel_pytree

from flatreg import penalty
from flatreg.penalty import linen
from flatreg.penalty.nnx import dense_layers

from .problems import Problem, cross_entropy, make
from .test_pairs import EXACT, THREE, WAYS, assert_equal, dense, estimated, with_slopes

pytestmark = pytest.mark.usefixtures("double_precision")

KEY = jax.random.key(0)
TWO = {"width": 2, "hidden": [2], "logits": 2, "batch": 3}
FEW = {"width": 4, "hidden": [2], "logits": 1, "batch": 2}
ONE = {"width": 3, "hidden": [], "logits": 3, "batch": 4}
HESSIAN = [("hessian", "batch")]


def mask_of(problem: Problem, paths: str) -> np.ndarray:
    """[n]: 1 for each number of the parameters at these paths, else 0."""
    taken = [
        {
            name: jnp.full(leaf.shape, f"{number}/{name}" in paths.split())
            for name, leaf in of.items()
        }
        for number, of in enumerate(problem.params)
    ]
    return np.asarray(ravel_pytree(taken)[0], np.float64)


def where_of(paths: str) -> Callable[[str], bool]:
    return lambda path: path in paths.split()


def values_of(estimator: penalty.Estimator) -> Callable[..., Any]:
    return with_slopes(lambda p, x, y: estimator(p, x, y, key=KEY)[None])


@pytest.fixture(scope="module")
def three_layers() -> tuple[Problem, Callable[..., Any]]:
    problem = make(seed=1, **THREE)
    return problem, dense(problem, WAYS)


@pytest.mark.parametrize(
    "paths",
    [
        "0/kernel",
        "0/bias 2/bias",
        "1/kernel 1/bias",
        "0/bias 1/bias 2/kernel",
        "0/kernel 2/kernel 2/bias",
        "1/kernel 1/bias 2/kernel 2/bias",
    ],
)
def test_pairs_of_some_parameters(paths: str, three_layers: Any) -> None:
    problem, truth = three_layers
    batch = problem.params, problem.x, problem.y
    found = estimated(problem, WAYS, where=where_of(paths), **EXACT)(*batch, KEY)
    assert_equal(found, truth(*batch, mask_of(problem, paths)))


@pytest.mark.usefixtures("every_sign")
@pytest.mark.parametrize("shape", [TWO, FEW], ids=["more examples", "more inputs"])
@pytest.mark.parametrize(
    "paths",
    ["0/kernel", "0/bias", "1/kernel", "0/kernel 1/bias", "0/bias 1/kernel", "0/kernel 0/bias"],
)
def test_gram_of_some_parameters(paths: str, shape: dict[str, Any]) -> None:
    """The mean over all sign vectors."""
    problem = make(seed=2, **shape)
    batch = problem.params, problem.x, problem.y
    found = jax.jit(values_of(penalty.gram(problem.layer, where=where_of(paths))))(*batch)
    assert_equal(found, dense(problem, HESSIAN)(*batch, mask_of(problem, paths)))


@pytest.mark.parametrize("paths", ["0/kernel", "0/bias", "0/kernel 0/bias"])
def test_exact_of_some_parameters(paths: str) -> None:
    problem = make(seed=3, **ONE)
    found = values_of(penalty.exact(problem.layer, where=where_of(paths)))
    truth = dense(problem, HESSIAN)(problem.params, problem.x, problem.y, mask_of(problem, paths))
    for x in (problem.x, BCOO.fromdense(problem.x)):
        assert_equal(found(problem.params, x, problem.y), truth)


@pytest.mark.parametrize("where", [True, [np.True_, np.True_]], ids=["bool", "NumPy's"])
def test_all_of_the_parameters_are_what_no_subset_is(where: Any) -> None:
    problem = make(seed=4, **TWO | {"activation": "relu"})
    batch = problem.params, problem.x, problem.y
    for build in (
        lambda **where: penalty.gram(problem.layer, **where),
        lambda **where: penalty.pairs(problem.network, **where),
    ):
        some, whole = build(where=where)(*batch, key=KEY), build()(*batch, key=KEY)
        np.testing.assert_allclose(some, whole, rtol=1e-12)


def test_a_step_with_a_task_has_the_gradient_of_all_parameters() -> None:
    problem = make(seed=5, **TWO | {"activation": "relu"})
    batch = problem.params, problem.x, problem.y
    where = [{"kernel": False, "bias": False}, True]
    estimator = penalty.pairs(problem.network, where=where, **EXACT)
    assert penalty.check(estimator, *batch, key=KEY) is None

    def task(zeta: Any, x: Any, y: Any) -> Any:
        z, later = zeta
        return 2 * problem.network.loss_at((z, later), x, y)

    step = jax.jit(penalty.value_and_grad(estimator, interval=2, task=task))
    value, slope = step(*batch, key=KEY, step=2, weight=0.1)
    expected = dense(problem, HESSIAN)(*batch, mask_of(problem, "1/kernel 1/bias"))[0]
    plain = ravel_pytree(jax.grad(problem.loss)(*batch))[0]
    np.testing.assert_allclose(value.tr_h2, expected[0], rtol=1e-9)
    assert_equal(ravel_pytree(slope)[0], 2 * plain + 0.1 * expected[1:])


def test_paths_of_a_module_and_its_boxes() -> None:
    module = nn.Dense(3, kernel_init=nn.with_partitioning(nn.initializers.normal(), (None, "m")))
    problem = make(seed=6, **ONE)
    params = module.init(KEY, problem.x)["params"]
    layer = linen.first_layer(module, problem.x, cross_entropy)
    estimator = penalty.exact(layer, where=lambda path: path.startswith("kernel"))
    plain = [{name: nn.meta.unbox(params)[name] for name in ("kernel", "bias")}]
    truth = dense(problem, HESSIAN)(plain, problem.x, problem.y, mask_of(problem, "0/kernel"))
    np.testing.assert_allclose(estimator(params, problem.x, problem.y, key=KEY), truth[0, 0])


def test_paths_of_an_nnx_model() -> None:
    problem = make(seed=8, **TWO | {"activation": "relu"})
    first, second = (nnx.Linear(2, 2, rngs=nnx.Rngs(0), param_dtype=float) for _ in range(2))
    model = nnx.Sequential(first, nnx.relu, second)
    for layer, given in ((first, problem.params[0]), (second, problem.params[1])):
        layer.kernel[...], layer.bias[...] = given["kernel"], given["bias"]
    network = dense_layers(model, problem.x, cross_entropy)
    params = nnx.state(model, nnx.Param)
    where = lambda path: path.startswith("layers/2/")  # noqa: E731
    found = penalty.pairs(network, where=where, **EXACT)(params, problem.x, problem.y, key=KEY)
    mask = mask_of(problem, "1/kernel 1/bias")
    truth = dense(problem, HESSIAN)(problem.params, problem.x, problem.y, mask)
    np.testing.assert_allclose(found, truth[0, 0], rtol=1e-9)


def estimators(problem: Problem, where: Any) -> list[penalty.Estimator]:
    return [
        penalty.gram(problem.layer, where=where),
        penalty.pairs(problem.network, where=where),
        penalty.exact(problem.layer, where=where),
    ]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (lambda path: False, "where is true for no parameter; expected at least one"),
        ([False], "where is true for no parameter"),
        ([True, False], "where is another tree"),
        ("kernel", "where is str; expected a tree of bools"),
    ],
)
def test_a_subset_that_is_none(where: Any, message: str) -> None:
    problem = make(seed=7, **ONE | {"activation": "relu"})
    for estimator in estimators(problem, where):
        with pytest.raises(penalty.ParameterError, match=message):
            estimator(problem.params, problem.x, problem.y, key=KEY)


def test_a_part_of_an_array_names_what_fits() -> None:
    """Two parameters make one kernel: to leave out one of them is not a matter of layers."""
    layer = penalty.FirstLayer(
        lambda p: (jnp.concatenate([p["upper"], p["lower"]]), None, ()),
        lambda zeta, x, y: cross_entropy(zeta[0], y),
        bias=False,
    )
    x = jax.random.normal(KEY, (4, 3))
    params = {"upper": jnp.ones((2, 2)), "lower": jnp.ones((1, 2))}
    estimator = penalty.exact(layer, where={"upper": True, "lower": False})
    message = r"where is true for 4 of the 6 numbers of one part of `split`; .*`autodiff\(loss, wh"
    with pytest.raises(penalty.ParameterError, match=message):
        jax.jit(lambda p: estimator(p, x, jnp.zeros(4, int), key=KEY))(params)
