"""The training loop: its arithmetic, its random numbers, and how it ends."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import optax
import pytest

from flatreg import models, penalty
from flatreg.config import Convergence
from flatreg.data import splits
from flatreg.data.dataset import Dataset
from flatreg.errors import UserError
from flatreg.train import loop
from flatreg.train.program import make_program
from tests.configs import SETTINGS
from tests.train import problems
from tests.train.problems import trainer_of


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return problems.digits()


@pytest.fixture(scope="module")
def breast_cancer() -> Dataset:
    return problems.breast_cancer()


def train(dataset: Dataset, **changes: Any) -> list[loop.State]:
    settings = replace(SETTINGS, **changes)
    trainer = trainer_of(dataset, settings)
    return list(loop.fit(trainer, loop.start(trainer)))


def ended(trainer: loop.Trainer) -> loop.State:
    """The state after the last epoch."""
    *_, last = loop.fit(trainer, loop.start(trainer))
    return last


def test_a_second_implementation_takes_the_same_steps(digits: Dataset) -> None:
    """A plain loop with optax, one step per call, with penalty and L2 written out."""
    changes = {"lam": "0.5", "weight_decay": 0.01, "optimizer": "sgd", "epochs": 1}
    settings = replace(SETTINGS, **changes)
    data = splits.prepare(digits, settings)
    model = models.build(settings.model, data.classes)
    key = loop.stream(0, "initialization")
    x, y = data.train.inputs(np.arange(len(data.train.y))), data.train.y
    params = model.init(key, x[:1], train=False)["params"]
    optimizer = optax.sgd(0.01)
    state = optimizer.init(params)

    def plain(params: Any, x: Any, y: Any) -> Any:
        return models.task_loss(model.apply({"params": params}, x, train=False), y)

    estimate = penalty.autodiff(plain, probes=2, distribution="rademacher")

    def total(params: Any, x: Any, y: Any, step: int) -> Any:
        mask = jax.random.fold_in(loop.stream(0, "dropout"), step)
        logits = model.apply({"params": params}, x, train=True, rngs={"dropout": mask})
        decay = 0.005 * sum((leaf**2).sum() for leaf in jax.tree.leaves(params))
        loss = models.task_loss(logits, y) + decay
        if step % 4 == 0:
            probes = jax.random.fold_in(loop.stream(0, "probes"), step)
            loss += 0.5 / 64 * estimate(params, x, y, key=probes)
        return loss

    for step, rows in enumerate(loop.epoch_order(settings, 0, len(y)), start=1):
        gradient = jax.grad(total)(params, x[rows], y[rows], step)
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)

    (last,) = train(digits, **changes)
    jax.tree.map(
        lambda done, expected: np.testing.assert_allclose(done, expected, rtol=1e-4, atol=1e-6),
        last.params,
        params,
    )


def test_it_learns(digits: Dataset) -> None:
    *_, last = train(digits, epochs=15)
    assert last.status == "completed"
    assert last.rows[-1]["test_accuracy"] > 0.93


def test_same_key_same_bytes(digits: Dataset) -> None:
    first, second = (train(digits, lam="0.1")[-1] for _ in range(2))
    assert first.rows == second.rows
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)


def test_going_on_from_any_epoch_ends_in_the_same_bytes(digits: Dataset) -> None:
    settings = replace(SETTINGS, lam="0.1", selection="best_validation")
    trainer = trainer_of(digits, settings)
    unbroken = list(loop.fit(trainer, loop.start(trainer)))
    for state in unbroken[:-1]:
        (resumed,) = deque(loop.fit(trainer, state), maxlen=1)
        assert resumed.rows == unbroken[-1].rows
        assert resumed.kept.epoch == unbroken[-1].kept.epoch
        jax.tree.map(np.testing.assert_array_equal, resumed.params, unbroken[-1].params)


def test_seeds_share_nothing_and_lambdas_share_all_but_the_penalty(digits: Dataset) -> None:
    zero, tiny, other = (
        train(digits, epochs=1, **c)[0] for c in ({}, {"lam": "1e-30"}, {"seed": 1})
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        zero.params,
        tiny.params,
    )
    assert not np.allclose(zero.params["Dense_0"]["kernel"], other.params["Dense_0"]["kernel"])


def test_lambda_zero_has_no_penalty_in_its_program(digits: Dataset) -> None:
    def program(lam: str) -> str:
        model = {"name": "mlp", "hidden": [16], "dropout": 0.0}
        settings = replace(SETTINGS, lam=lam, model=model)
        trainer = trainer_of(digits, settings)
        next(loop.fit(trainer, loop.start(trainer)))
        return trainer.program.epoch.as_text()

    plain, penalized = program("0"), program("0.1")
    # Without dropout only probes draw random bits.
    assert "xor" not in plain
    assert "xor" in penalized
    assert "conditional" not in plain


@pytest.mark.parametrize("precision", ["default", "highest"])
def test_steps_multiply_at_the_precision_of_the_config(digits: Dataset, precision: str) -> None:
    """Whatever is measured after an epoch is computed at that of the process."""
    trainer = trainer_of(digits, replace(SETTINGS, lam="0.1", precision=precision))
    with jax.default_matmul_precision("highest"):
        start = loop.start(trainer)
        next(loop.fit(trainer, start))
        x, y = loop.place(trainer.program, trainer.splits).measured
        coarse = trainer.program.coarse.lower(start.params, x, y, jax.random.key(0))
    assert ("operand_precision={highest" in trainer.program.epoch.as_text()) == (
        precision == "highest"
    )
    assert "HIGHEST" in coarse.as_text()


def test_runs_of_a_program_compile_nothing_of_their_own(digits: Dataset) -> None:
    """Another lambda, seed, learning rate and weight decay are arguments of the compiled steps."""
    program, first = None, None
    for changes in (
        {"lam": "0.1"},
        {"lam": "0.2", "seed": 3, "varies": ("initialization", "order", "split", "probes")},
        {"lam": "0.1", "learning_rate": 0.02, "weight_decay": 0.5},
    ):
        settings = replace(SETTINGS, **({"weight_decay": 0.1} | changes))
        data = splits.prepare(digits, settings)
        program = program or make_program(settings, data, penalized=True)
        last = ended(loop.make_trainer(program, loop.place(program, data), settings))
        first = first or last
        alone = ended(trainer_of(digits, settings))
        jax.tree.map(np.testing.assert_array_equal, last.params, alone.params)
    assert program.epoch.programs == 1
    assert not np.array_equal(last.params["Dense_0"]["kernel"], first.params["Dense_0"]["kernel"])


def test_penalty_lowers_what_it_penalizes(digits: Dataset) -> None:
    plain, strong = (train(digits, epochs=8, lam=lam)[-1].rows[-1]["tr_h2"] for lam in ("0", "1"))
    assert strong < plain


def test_penalty_is_reported_where_it_is_applied(digits: Dataset) -> None:
    penalized, plain = (train(digits, epochs=1, lam=lam)[0].rows[0] for lam in ("1", "0"))
    assert penalized["penalty"] == pytest.approx(penalized["tr_h2_training"] / 64)
    assert plain["penalty"] is None
    assert plain["tr_h2_training"] is None
    assert plain["tr_h2"] > 0


def test_a_run_that_is_not_finite_ends_as_diverged(breast_cancer: Dataset) -> None:
    states = train(
        breast_cancer, inputs="raw", batch=32, optimizer="sgd", learning_rate=1e38, epochs=5
    )
    assert states[-1].status == "diverged"
    assert 1 <= states[-1].diverged_step <= 5 * 12
    assert all(state.status == "running" for state in states[:-1])


def test_best_validation_is_kept(digits: Dataset) -> None:
    *_, last = train(digits, selection="best_validation", epochs=6, learning_rate=0.05)
    accuracies = [row["validation_accuracy"] for row in last.rows]
    assert accuracies[last.kept.epoch - 1] == max(accuracies)


def test_training_stops_when_validation_loss_no_longer_falls(digits: Dataset) -> None:
    *_, last = train(digits, epochs=50, convergence=Convergence(patience=2, min_delta=0.1))
    losses = [row["validation_loss"] for row in last.rows]
    assert last.status == "converged"
    assert len(losses) < 50
    assert min(losses[-2:]) > min(losses[:-2]) - 0.1


def test_the_test_split_changes_no_choice(digits: Dataset) -> None:
    """Train twice, the second time with a test split of noise: only the test accuracy differs."""
    rng = np.random.default_rng(0)
    noise = digits._replace(
        x_test=rng.integers(0, 17, digits.x_test.shape).astype(np.uint8),
        y_test=rng.integers(0, 10, len(digits.y_test)).astype(np.int32),
    )
    real, blind = (train(d, selection="best_validation")[-1] for d in (digits, noise))
    assert real.kept.epoch == blind.kept.epoch
    jax.tree.map(np.testing.assert_array_equal, real.kept.params, blind.kept.params)
    for one, other in zip(real.rows, blind.rows, strict=True):
        assert one["test_accuracy"] != other["test_accuracy"]
        assert one | {"test_accuracy": 0} == other | {"test_accuracy": 0}


def test_a_batch_over_the_data_is_one_line(digits: Dataset) -> None:
    with pytest.raises(UserError, match=r"batch 5000 is larger than the .* training examples"):
        train(digits, batch=5000)
