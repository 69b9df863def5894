"""One training step in JAX for each way to compute the penalty: ours and its peers'."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.experimental.sparse import BCOO
from jax.extend.core import jaxprs_in_params
from matfree import stochtrace

from bench import networks
from bench.models import Model, after_first, dense_logits, loss_of_logits
from bench.networks import Shape
from flatreg import penalty
from flatreg.penalty.estimators.gram import reduced_product
from flatreg.penalty.hutchinson import draw

WEIGHT = 1e-6

Loss = Callable[[Any, jax.Array, jax.Array], jax.Array]
# The optimizer's init, and a function from parameters, optimizer state, batch and key to updates.
Update = tuple[Callable[[Any], Any], Callable[..., tuple[Any, Any]]]


def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross-entropy of the whole network."""
    return loss_of_logits(dense_logits(params, x), y)


LAYER = penalty.FirstLayer(
    split=lambda params: (*params[0], params[1:]),
    loss=lambda zeta, x, y: loss_of_logits(after_first(*zeta), y),
)
NETWORK = penalty.DenseLayers(split=lambda params: params, loss=loss_of_logits)


def reverse_over_reverse(probes: int) -> penalty.Estimator:
    """The original's way: H v as the gradient of <gradient, v>; reverse mode throughout."""

    def trace(params: Any, x: jax.Array, y: jax.Array, *, key: jax.Array) -> jax.Array:
        def one(key: jax.Array) -> jax.Array:
            vector = draw(params, key, "rademacher")
            slope = jax.grad(lambda p: optax.tree.vdot(jax.grad(loss)(p, x, y), vector))
            return optax.tree.norm(slope(params), squared=True)

        return jnp.mean(jax.lax.map(one, jax.random.split(key, probes)))

    return penalty.Estimator("reverse over reverse", "tr(H_b^2)", lambda p, _: p, loss, trace)


def through_matfree(probes: int) -> penalty.Estimator:
    """Matfree's estimator of the squared Frobenius norm; reverse mode differentiates it."""

    def trace(params: Any, x: jax.Array, y: jax.Array, *, key: jax.Array) -> jax.Array:
        def product(vector: Any) -> Any:
            return jax.jvp(lambda p: jax.grad(loss)(p, x, y), (params,), (vector,))[1]

        estimate = stochtrace.estimator_monte_carlo(
            stochtrace.monte_carlo_frobeniusnorm_squared(),
            stochtrace.sampler_signs(params, num=probes),
        )
        return estimate(product, key)

    return penalty.Estimator("matfree", "tr(H_b^2)", lambda p, _: p, loss, trace)


def leave_one_out(name: str, integrand: Any, probes: int) -> penalty.Estimator:
    """One of matfree's leave-one-out estimators, of tr(A^2) in the coordinates of `gram`.

    They project on what the other probes span, as Hutch++ does, and are as free of bias.

    Args:
        name: of the estimator.
        integrand: of `matfree.stochtrace`, for products with A^2.
        probes: number of (normal) probes.

    References:
        E. N. Epperly, J. A. Tropp, R. J. Webber. XTrace: making the most of every sample in
        stochastic trace estimation. SIAM J. Matrix Anal. Appl. 45(1), 2024.
        doi:10.1137/23M1548323.
    """

    def trace(zeta: Any, x: jax.Array, y: jax.Array, *, key: jax.Array) -> jax.Array:
        product, like = reduced_product(LAYER, lambda at: LAYER.loss(at, x, y), zeta, x)
        sampler = stochtrace.sampler_normal(like, num=probes)
        estimate = stochtrace.estimator_leave_one_out(integrand, sampler)
        return estimate(lambda v: product(product(v)), key)

    return penalty.Estimator(name, "tr(H_b^2)", LAYER.enter, LAYER.loss, trace)


def estimators(shape: Shape) -> dict[str, penalty.Estimator]:
    """All estimators that apply to a network.

    Those of pairs have as many sketches as their target needs at least.
    """
    by_name = {
        "reverse over reverse": reverse_over_reverse(shape.probes),
        "matfree": through_matfree(shape.probes),
        "autodiff": penalty.autodiff(loss, probes=shape.probes),
        "gram": penalty.gram(LAYER, probes=shape.probes),
    }
    if not shape.hidden:
        return by_name | {"exact": penalty.exact(LAYER)}
    return by_name | {
        "pairs": penalty.pairs(NETWORK, probes=2),
        "pairs, of the training loss": penalty.pairs(NETWORK, probes=1, target="loss"),
        "pairs, Gauss-Newton": penalty.pairs(NETWORK, probes=2, curvature="gauss_newton"),
    }


def steps(shape: Shape) -> dict[str, Callable[[], None]]:
    """Functions by name; each runs one compiled step and waits for its result.

    "plain" is the step without a penalty, "SAM" that of sharpness-aware minimization.
    """
    return {name: step(shape, name) for name in ("plain", "SAM", *estimators(shape))}


def step(shape: Shape, name: str) -> Callable[[], None]:
    """One of `steps`."""
    return _runner(*_prepared(shape, name))


def step_of(model: Model, examples: int, way: str | penalty.Estimator) -> Callable[[], None]:
    """A step of any model: "plain", "SAM", or one with an estimator of its loss.

    Args:
        model: the network.
        examples: in a mini-batch.
        way: how its gradient is made.
    """
    shape = Shape(inputs=model.inputs, outputs=model.outputs, batch=examples)
    x, y = jax.tree.map(jnp.asarray, networks.batch(shape))
    return _runner(_update(way, model.loss), model.start(), x, y)


def loop_body(shape: Shape, name: str) -> Callable[[Any, jax.Array, jax.Array], Any]:
    """One of `steps` as a function `(carry, x, y) -> carry`, for the body of a compiled loop."""
    make, *_ = _prepared(shape, name)
    return _body(make[1])


def loop_start(shape: Shape, name: str) -> tuple[Any, jax.Array, jax.Array]:
    """The first carry of `loop_body`, and its batch."""
    make, params, x, y = _prepared(shape, name)
    return _carry(make, params), x, y


def working_bytes(shape: Shape, name: str) -> int:
    """Peak memory (bytes) of a step besides parameters, optimizer and batch, as planned by XLA."""
    make, params, x, y = _prepared(shape, name)
    plan = _compilable(make[1]).lower(_carry(make, params), x, y).compile()
    return plan.memory_analysis().temp_size_in_bytes


def _prepared(shape: Shape, name: str) -> tuple[Update, Any, jax.Array, jax.Array]:
    simple = name in ("plain", "SAM")
    return _update(name if simple else estimators(shape)[name], loss), *_start(shape)


def _update(way: str | penalty.Estimator, loss: Loss) -> Update:
    optimizer = optax.adam(1e-3)
    if isinstance(way, penalty.Estimator):
        return _penalized(way, optimizer)
    return {"plain": _plain, "SAM": _sam}[way](optimizer, loss)


def _start(shape: Shape) -> tuple[Any, jax.Array, jax.Array]:
    """Parameters, inputs and labels."""
    return jax.tree.map(jnp.asarray, (networks.parameters(shape), *networks.batch(shape)))


def steps_on_texts(shape: Shape, words: int) -> dict[str, Callable[[], None]]:
    """Steps of logistic regression on texts of `words` words each, in dense and sparse batches."""
    params, _, y = _start(shape)
    x = networks.texts(shape, words)
    optimizer = optax.adam(1e-3)
    updates = {
        "plain": _plain(optimizer, loss),
        "exact": _penalized(penalty.exact(LAYER), optimizer),
    }
    batches = {"": jnp.asarray(x), ", sparse": BCOO.fromdense(x, nse=words * shape.batch)}
    return {
        name + kind: _runner(make, params, batch, y)
        for name, make in updates.items()
        for kind, batch in batches.items()
    }


def _plain(optimizer: optax.GradientTransformation, loss: Loss) -> Update:
    def update(params: Any, state: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        return optimizer.update(jax.grad(loss)(params, x, y), state, params)

    return optimizer.init, update


def _sam(optimizer: optax.GradientTransformation, loss: Loss) -> Update:
    """Optax's sharpness-aware minimization (Foret et al. 2021): two gradients per step."""
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    sam = optax.contrib.sam(optimizer, ascent, opaque_mode=True)

    def update(params: Any, state: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        gradient = lambda p, _: jax.grad(loss)(p, x, y)  # noqa: E731
        return sam.update(gradient(params, 0), state, params, grad_fn=gradient)

    return sam.init, update


def _penalized(estimator: penalty.Estimator, optimizer: optax.GradientTransformation) -> Update:
    run = penalty.value_and_grad(estimator)

    def update(params: Any, state: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        _, gradient = run(params, x, y, key=key, weight=jnp.float32(WEIGHT))
        return optimizer.update(gradient, state, params)

    return optimizer.init, update


def _runner(make: Update, params: Any, x: jax.Array, y: jax.Array) -> Callable[[], None]:
    step = _compilable(make[1])
    carry = _carry(make, params)

    def run() -> None:
        nonlocal carry
        carry = jax.block_until_ready(step(carry, x, y))

    return run


def _carry(make: Update, params: Any) -> Any:
    return jax.tree.map(jnp.copy, (params, make[0](params), jax.random.key(0)))


def _compilable(update: Callable[..., tuple[Any, Any]]) -> Any:
    return jax.jit(_body(update), donate_argnums=0)


def _body(update: Callable[..., tuple[Any, Any]]) -> Callable[[Any, jax.Array, jax.Array], Any]:
    def step(carry: Any, x: jax.Array, y: jax.Array) -> Any:
        params, state, key = carry
        key, own = jax.random.split(key)
        updates, state = update(params, state, x, y, own)
        return optax.apply_updates(params, updates), state, key

    return step


def matrix_flops(shape: Shape, name: str) -> int:
    """Floating-point operations in the matrix products of one penalized step."""
    run = penalty.value_and_grad(estimators(shape)[name])
    step = partial(run, key=jax.random.key(0), weight=WEIGHT)
    return products(jax.make_jaxpr(step)(*_start(shape)).jaxpr)


def products(jaxpr: Any) -> int:
    """Floating-point operations of a program's matrix products; a loop's body counts once."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive is jax.lax.dot_general_p:
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, out = equation.invars[0].aval, equation.outvars[0].aval
            total += 2 * out.size * math.prod(left.shape[axis] for axis in contracted)
        total += sum(products(inner) for inner in jaxprs_in_params(equation.params))
    return total
