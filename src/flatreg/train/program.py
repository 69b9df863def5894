"""What all lanes of a block share: the model, the objective, and the compiled functions.

Everything in which lanes differ is an argument of these functions: the penalty's weight, rates,
seeds and data. So a block traces and compiles each of them once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flatreg import models, objective, optimizers
from flatreg.config import CellSettings
from flatreg.data.splits import Splits
from flatreg.errors import UserError
from flatreg.measure import curvature
from flatreg.train import batches, evaluation, side_by_side, steps
from flatreg.train.evaluation import BlockSums
from flatreg.train.side_by_side import Lanes
from flatreg.train.steps import Params


class Compiled:
    """A function that is compiled once for each set of shapes and types of its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Take the function; nothing is compiled yet."""
        self._function = jax.jit(function)
        self._programs: dict[Any, Callable[..., Any]] = {}

    def compile(self, *arguments: Any) -> Any:
        """The program for arguments like these, which is compiled unless that is done already."""
        key = _shapes(arguments)
        if key not in self._programs:
            self._programs[key] = self._function.lower(*arguments).compile()
        return self._programs[key]

    @property
    def programs(self) -> int:
        """Number of programs compiled so far."""
        return len(self._programs)

    def memory(self, *arguments: Any) -> Any:
        """Bytes of the program for arguments like these, as XLA counts them."""
        return self.compile(*arguments).memory_analysis()

    def as_text(self) -> str:
        """The first compiled program, in XLA's language."""
        return next(iter(self._programs.values())).as_text()

    def __call__(self, *arguments: Any) -> Any:
        """The function's result."""
        return self.compile(*arguments)(*arguments)


def _shapes(arguments: Any) -> Any:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


class Program(NamedTuple):
    """The shared parts of some trainings of one data set, all with the penalty or all without.

    Attributes:
        settings: of the trainings, except lambda, seed and rates.
        penalized: whether the loss has the penalty.
        model: the network.
        estimator: of tr(H^2).
        reason: why this estimator was chosen.
        steps_per_epoch: mini-batches per epoch.
        rates: learning rate of every step [steps], for a first or peak rate.
        initialize: `initialize(key) -> params`.
        optimizer: `optimizer(rate, decay)`, the optimizer with these rates.
        epoch: `epoch(fixed, carry) -> carry`, the steps of one epoch of one lane, for a CPU.
        epochs: those of several lanes, for a GPU: `flatreg.train.side_by_side.epochs_of`.
        coarse: `coarse(params, x, y, key) -> (tr(H^2), its standard error)` after an epoch.
        sums: of `flatreg.train.evaluation`.
        measures: `measures(lanes, blocks, examples)`, for lanes given by parameters and a key: of
            each, the results of `sums` for each split of `blocks`, and of `coarse` on `examples`.
    """

    settings: CellSettings
    penalized: bool
    model: nn.Module
    estimator: str
    reason: str
    steps_per_epoch: int
    rates: Callable[[float], np.ndarray]
    initialize: Callable[[jax.Array], Params]
    optimizer: steps.Optimizer
    epoch: Compiled
    epochs: Compiled
    coarse: Callable[..., tuple[jax.Array, jax.Array]]
    sums: BlockSums
    measures: Callable[[Lanes, Any, Any], list[Any]]


def make_program(settings: CellSettings, splits: Splits, *, penalized: bool) -> Program:
    """Build what some trainings share; each function is compiled at its first call.

    Args:
        settings: of the trainings.
        splits: of one of them: only types and shapes are used.
        penalized: whether lambda is above 0.

    Raises:
        UserError: the batch is larger than the training split, or the model does not allow the
            estimator.
    """
    batch, examples = settings.batch, len(splits.train.y)
    if examples < batch:
        raise UserError(
            f"batch {batch} is larger than the {examples} training examples of "
            f"{settings.dataset}; choose a smaller one"
        )
    model = models.build(settings.model, splits.classes)
    inputs = jnp.zeros((batch, splits.train.x.shape[1]))
    goal = _objective(model, inputs, settings, penalized=penalized)
    optimizer = partial(optimizers.build, settings)
    load = batches.loader(splits.train)
    interval, decoupled = settings.penalty.interval, settings.penalty.decoupled
    plain = steps.plain_step(goal, optimizer, load)
    alone = together = steps.epoch_of(plain)
    if penalized:
        every_kth = steps.every_kth_step(goal, interval, optimizer, load, decoupled=decoupled)
        penalized_step = steps.penalized_step(goal, optimizer, load, decoupled=decoupled)
        alone = steps.epoch_of(every_kth)
        together = steps.epoch_in_groups(plain, penalized_step, interval)
    sums = evaluation.block_sums(goal.logits, load)
    coarse = jax.jit(partial(_coarse_tr_h2, model, settings.epoch_measure.probes))
    alone, together = (steps.at_precision(settings.precision, e) for e in (alone, together))
    return Program(
        settings=settings,
        penalized=penalized,
        model=model,
        estimator=goal.estimator.name,
        reason=goal.reason,
        steps_per_epoch=examples // batch,
        rates=cache(partial(_learning_rates, settings, examples // batch)),
        initialize=jax.jit(partial(_initialize, model, inputs[:1])),
        optimizer=optimizer,
        epoch=Compiled(alone),
        epochs=Compiled(side_by_side.epochs_of(together)),
        coarse=coarse,
        sums=sums,
        measures=jax.jit(side_by_side.measures_of(sums, coarse)),
    )


def _objective(
    model: nn.Module, inputs: jax.Array, settings: CellSettings, *, penalized: bool
) -> objective.Objective:
    # At lambda 0 the result must not depend on the penalty's settings, such as its estimator.
    return objective.build(
        model,
        inputs,
        estimator=settings.penalty.estimator if penalized else "auto",
        probes=settings.penalty.probes,
        distribution=settings.penalty.distribution,
    )


def _learning_rates(
    settings: CellSettings, steps_per_epoch: int, learning_rate: float
) -> np.ndarray:
    rated = replace(settings, learning_rate=learning_rate)
    return optimizers.learning_rates(rated, steps_per_epoch)


def _initialize(model: nn.Module, inputs: jax.Array, key: jax.Array) -> Params:
    return model.init(key, inputs, train=False)["params"]


def _coarse_tr_h2(
    model: nn.Module, probes: int, params: Params, x: jax.Array, y: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    loss = partial(models.loss_without_dropout, model, x=x, y=y)
    return curvature.coarse_tr_h2(loss, params, key, probes)
