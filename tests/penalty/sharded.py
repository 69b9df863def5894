"""The penalty on four devices, held against dense Hessians; `test_shard_map.py` runs this file."""

from __future__ import annotations

import traceback
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO
from jax.sharding import AxisType, PartitionSpec

from flatreg import penalty
from tests.penalty.truth import tr_h2_of

DEVICES, EXAMPLES, WIDTH, WEIGHT = 4, 8, 4, 0.1
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(EXAMPLES, WIDTH)), jnp.float32)
P = jnp.asarray(RNG.normal(size=WIDTH), jnp.float32)
ROWS, ALL = PartitionSpec("data"), PartitionSpec()


@cache
def four_devices():
    return jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))


def local(p, x):
    """A loss whose Hessian is diagonal: with random signs, each estimate is exact."""
    return jnp.mean(jnp.sum(jnp.cosh(x * p), axis=1))


def whole(p, x):
    return jax.lax.pmean(local(p, x), "data")


def mean(values):
    return jax.tree.map(lambda leaf: jax.lax.pmean(leaf, "data"), values)


def total(values):
    return jax.tree.map(lambda leaf: jax.lax.psum(leaf, "data"), values)


def varying(p):
    return jax.lax.pcast(p, ("data",), to="varying")


def of_shards():
    """The mean over the shards of tr(H^2) of each, and its gradient."""
    each = [tr_h2_of(lambda p, x=x: local(p, double(x)), P) for x in np.split(np.asarray(X), 4)]
    return tuple(np.mean([part[i] for part in each], axis=0) for i in (0, 1))


def double(x):
    return jnp.asarray(x, jnp.float64)


def close(one, other, rtol=2e-5):
    np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-6)


def steps(loss, finish, *, start=lambda p: p, check_vma=True):
    """Value of tr(H^2) and gradient of a step with and without an interval."""
    for settings in ({}, {"interval": 10}):
        step = penalty.value_and_grad(penalty.autodiff(loss, probes=1), **settings)

        def run(p, x, step=step):
            value, gradient = step(start(p), x, key=KEY, step=10, weight=WEIGHT)
            return finish(value.tr_h2, gradient)

        mapped = jax.shard_map(
            run, mesh=four_devices(), in_specs=(ALL, ROWS), out_specs=ALL, check_vma=check_vma
        )
        yield jax.jit(mapped)(P, X)


PLAIN = jax.grad(local)(P, X)


def a_loss_of_all_devices_has_the_hessian_of_the_whole_batch():
    value, slope = tr_h2_of(lambda p: local(p, double(X)), P)
    for tr_h2, gradient in steps(whole, lambda tr_h2, gradient: (tr_h2, gradient)):
        close(tr_h2, value)
        close(gradient, PLAIN + WEIGHT * slope)


def a_loss_of_each_device_has_the_hessian_of_its_own_examples():
    """And `jax.grad` of it in parameters that do not vary is the sum over the devices."""
    value, slope = of_shards()
    for tr_h2, gradient in steps(local, lambda tr_h2, g: (mean(tr_h2), g)):
        close(tr_h2, value)
        close(gradient, DEVICES * (PLAIN + WEIGHT * slope))


def parameters_that_vary_have_each_device_s_gradient():
    value, slope = of_shards()
    for tr_h2, gradient in steps(local, lambda *both: mean(both), start=varying):
        close(tr_h2, value)
        close(gradient, PLAIN + WEIGHT * slope)


def without_the_check_of_axes_every_loss_is_its_device_s():
    value, slope = of_shards()
    for loss in (local, whole):
        for tr_h2, gradient in steps(loss, lambda *both: mean(both), check_vma=False):
            close(tr_h2, value)
            close(gradient, PLAIN + WEIGHT * slope)


def copies_of_the_parameters_are_parameters_of_a_loss_of_all_devices():
    """H is in all copies together: one block for each, the Hessian of 1 / 4 of the loss."""
    value, slope = of_shards()
    for tr_h2, gradient in steps(whole, lambda tr_h2, g: (tr_h2, total(g)), start=varying):
        close(tr_h2, value / DEVICES)
        close(gradient, PLAIN + WEIGHT * slope / DEVICES)


def parameters_in_parts_on_the_devices_make_one_hessian():
    """Each device has some parameters, and the loss couples them: the probes are independent."""

    def coupled(p, x):
        return jnp.mean(jnp.cosh(jax.lax.psum(x @ p, "data")))

    estimator = penalty.autodiff(coupled, probes=4000)

    def run(p, x):
        return jax.value_and_grad(lambda p: estimator(p, x, key=KEY))(p)

    columns = PartitionSpec(None, "data")
    mapped = jax.shard_map(
        run, mesh=four_devices(), in_specs=(ROWS, columns), out_specs=(ALL, ROWS)
    )
    tr_h2, gradient = jax.jit(mapped)(P / 2, X)
    value, slope = tr_h2_of(lambda p: jnp.mean(jnp.cosh(double(X) @ p)), P / 2)
    close(tr_h2, value, rtol=0.08)
    difference = np.linalg.norm(gradient - slope) / np.linalg.norm(slope)
    assert difference < 0.08


def logistic(zeta, x, y):
    return jnp.mean(jnp.logaddexp(0.0, -y * zeta[0][:, 0]))


LAYER = penalty.FirstLayer(lambda p: (p[:, None], None, ()), logistic, bias=False)
OF_ALL = LAYER._replace(loss=lambda *args: jax.lax.pmean(logistic(*args), "data"))
Y = jnp.sign(X[:, 0])


def of_layer(make, layer):
    estimator = make(layer)

    def run(p, x, y):
        value, gradient = penalty.value_and_grad(estimator, interval=2)(
            p, x, y, key=KEY, step=2, weight=WEIGHT
        )
        return mean(value.tr_h2), gradient

    return jax.jit(
        jax.shard_map(run, mesh=four_devices(), in_specs=(ALL, ROWS, ROWS), out_specs=ALL)
    )


def a_first_layer_has_each_device_s_own_examples():
    def shard(p, x, y):
        return jnp.mean(jnp.logaddexp(0.0, -y * (double(x) @ p)))

    parts = zip(np.split(np.asarray(X), 4), np.split(np.asarray(Y), 4), strict=True)
    each = [tr_h2_of(lambda p, part=part: shard(p, *part), P) for part in parts]
    value = np.mean([part[0] for part in each])
    plain = jax.grad(lambda p: logistic((X @ p[:, None], ()), X, Y))(P)
    slope = np.mean([part[1] for part in each], axis=0)
    tr_h2, gradient = of_layer(penalty.exact, LAYER)(P, X, Y)
    close(tr_h2, value)
    close(gradient, DEVICES * (plain + WEIGHT * slope))
    tr_h2, gradient = of_layer(lambda layer: penalty.gram(layer, probes=4000), LAYER)(P, X, Y)
    close(tr_h2, value, rtol=0.05)
    assert np.linalg.norm(gradient / DEVICES - plain - WEIGHT * slope) < 0.02


def a_first_layer_refuses_a_loss_of_all_devices():
    for make in (penalty.gram, penalty.exact):
        try:
            of_layer(make, OF_ALL)(P, X, Y)
        except penalty.ModelError as error:
            assert "one of all devices along 'data'" in str(error)
        else:
            raise AssertionError(make)


def a_sharded_batch_of_any_kind_gives_what_one_device_gives():
    x = jnp.where(X > 0, X, 0)
    layer = LAYER._replace(loss=lambda zeta, x, y: logistic(zeta, x, y["sign"]))
    step = jax.jit(penalty.value_and_grad(penalty.exact(layer)))
    alone = step(P, x, {"sign": Y, "none": None}, key=KEY, weight=WEIGHT)
    entries = int((x != 0).sum())
    for sparse in (False, *range(entries, entries + DEVICES)):
        given = BCOO.fromdense(x, nse=sparse) if sparse else x
        batch = penalty.shard_batch(four_devices(), given, {"sign": Y, "none": None}, 0.5)
        leaf = batch[0].data if sparse else batch[0]
        assert len(leaf.sharding.device_set) == DEVICES
        assert not leaf.sharding.is_fully_replicated
        assert batch[2].sharding.is_fully_replicated
        np.testing.assert_allclose(batch[0].todense() if sparse else batch[0], x)
        together = step(P, *batch[:2], key=KEY, weight=WEIGHT)
        jax.tree.map(close, alone, together)


def rivals(loss):
    """Estimators, and what each estimates of the Hessian's diagonal on all examples, or on two."""

    def total(z):
        return jnp.mean(jnp.sum(jnp.cosh(z), axis=1))

    of_logits = total if loss is local else lambda z: jax.lax.pmean(total(z), "data")

    def diagonal(p, x):
        return jnp.mean(x**2 * jnp.cosh(x * p), axis=0)

    def logits(p, x):
        return x * p

    yield penalty.hessian_trace(loss, probes=1), lambda p, x: jnp.sum(diagonal(p, x))
    halves = lambda p, x: jnp.sum(diagonal(p, x[0::2]) * diagonal(p, x[1::2]))  # noqa: E731
    yield penalty.cross_batch(loss, probes=1), halves
    square = lambda p, x: jnp.sum(diagonal(p, x) ** 2)  # noqa: E731
    yield penalty.gauss_newton(logits, of_logits, probes=1), square
    trace = penalty.gauss_newton_trace(logits, of_logits, probes=1)
    yield trace, lambda p, x: jnp.sum(diagonal(p, x))


def rivals_have_the_traces_of_the_whole_batch_or_of_each_device():
    for loss in (whole, local):
        for estimator, truth in rivals(loss):

            def run(p, x, estimator=estimator):
                value, gradient = jax.value_and_grad(lambda p: estimator(p, x, key=KEY))(p)
                return mean(value), gradient

            mapped = jax.shard_map(run, mesh=four_devices(), in_specs=(ALL, ROWS), out_specs=ALL)
            batches = [X] if loss is whole else np.split(np.asarray(X), DEVICES)
            parts = [jax.value_and_grad(truth)(P, x) for x in batches]
            value, gradient = jax.jit(mapped)(P, X)
            close(value, np.mean([part[0] for part in parts]))
            close(gradient, np.sum([part[1] for part in parts], axis=0))


CASES = [
    a_loss_of_all_devices_has_the_hessian_of_the_whole_batch,
    a_loss_of_each_device_has_the_hessian_of_its_own_examples,
    parameters_that_vary_have_each_device_s_gradient,
    without_the_check_of_axes_every_loss_is_its_device_s,
    copies_of_the_parameters_are_parameters_of_a_loss_of_all_devices,
    parameters_in_parts_on_the_devices_make_one_hessian,
    a_first_layer_has_each_device_s_own_examples,
    a_first_layer_refuses_a_loss_of_all_devices,
    a_sharded_batch_of_any_kind_gives_what_one_device_gives,
    rivals_have_the_traces_of_the_whole_batch_or_of_each_device,
]

if __name__ == "__main__":
    for case in CASES:
        try:
            case()
            print("passed", case.__name__)
        except Exception:
            print("failed", case.__name__)
            traceback.print_exc()
