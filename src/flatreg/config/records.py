"""The study's settings of one training and its measurement, as typed, frozen records.

The type of the record that a function takes shows what the function may read. The fields are those
of workflow/schemas/config.schema.json, which holds their defaults. `as_dict` gives them as they
stand in the config; keys are computed from its result alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, Self, TypeVar

# Arguments of optax by their names; `schedule` also has its `name`.
Arguments = Mapping[str, Any]
# The fields of `data` that concern one source.
DataSettings = Mapping[str, int | float | bool]
# `name` of a model, and its attributes.
Model = Mapping[str, Any]

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """How lambda / B * tr(H^2) is estimated on a mini-batch, and when it is applied.

    Attributes:
        estimator: a module of `flatreg.penalty.estimators`, or "auto", which chooses by the model.
        probes: probe vectors of an estimate (M).
        distribution: of a probe's entries, "rademacher" or "normal".
        interval: number of mini-batches per penalized one (k).
        scaling: "per_application" (lambda / B on each k-th step) or "interval_fold" (k times that).
        warmup: share of all steps over which the weight rises linearly from 0.
        decoupled: whether its gradient stays outside the optimizer, as weight decay does in AdamW.
    """

    estimator: str
    probes: int
    distribution: str
    interval: int
    scaling: str
    warmup: float
    decoupled: bool


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """When training ends early.

    Attributes:
        patience: epochs without a lower validation loss; None to train all epochs.
        min_delta: a smaller improvement counts as none (nats).
    """

    patience: int | None
    min_delta: float


@dataclass(frozen=True, kw_only=True)
class Search:
    """The grid from which learning rate and weight decay are chosen.

    Attributes:
        learning_rate: first or peak rates to try first.
        weight_decay: decays to try first.
        seeds: of the trainings at each point.
        extensions: how often the grid may be extended in one direction.
        lam: "0" if the rates of lambda 0 are used at every lambda; None for each lambda's own.
    """

    learning_rate: tuple[float, ...]
    weight_decay: tuple[float, ...]
    seeds: tuple[int, ...]
    extensions: int
    lam: str | None


@dataclass(frozen=True, kw_only=True)
class SearchOf:
    """The search that gives a run its rates; its data set is that of the run.

    Attributes:
        protocol: whose trainings and grid are searched.
        lam: lambda of these trainings.
    """

    protocol: str
    lam: str


@dataclass(frozen=True, kw_only=True)
class EpochMeasure:
    """The coarse measurement of tr(H^2) at the end of each epoch.

    Attributes:
        examples: training examples over which the loss of H is taken.
        probes: probe vectors, at least 2.
    """

    examples: int
    probes: int


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """Every choice that fixes the trainings of a data set of a protocol, except lambda and seed.

    Attributes:
        protocol: its name.
        dataset: its name in the protocol.
        source: where the data come from.
        reading: of a text, "whole" or "stripped"; None for data that are not text.
        train_examples: number of training examples to use, validation included; None for all.
        test_examples: number of test examples to use; None for all.
        inputs: scaling of the inputs, "raw", "unit" or "standardized".
        model: `name` and attributes of the network.
        batch: examples in a mini-batch (B).
        epochs: passes over the training examples.
        optimizer: its optax name.
        optimizer_arguments: its further arguments, by their optax names.
        learning_rate: first or peak rate; None where a search chooses it.
        schedule: `name` of the learning rate's schedule and its arguments, spans in steps, or in
            epochs where they end in `_epochs`.
        weight_decay: decoupled if the optimizer has weight decay, else L2 in the gradient; None
            where a search chooses it.
        clip_norm: largest norm of the whole gradient; None for no clipping.
        precision: of float32 products in its steps, of `jax.default_matmul_precision`.
        selection: the parameters that are kept, "last" or "best_validation".
        validation_fraction: share of the training split that is held out for validation, in (0, 1).
        validation_seed: of that hold-out, unless `split` varies.
        varies: the causes of randomness that the run's seed fixes; the others have seed 0.
        convergence: when training ends early.
        penalty: how it is estimated and applied.
        search: None where the config sets learning rate and weight decay.
        data: how the source is prepared.
        epoch_measure: what is measured at the end of each epoch.
    """

    protocol: str
    dataset: str
    source: str
    reading: str | None
    train_examples: int | None
    test_examples: int | None
    inputs: str
    model: Model
    batch: int
    epochs: int
    optimizer: str
    optimizer_arguments: Arguments
    learning_rate: float | None
    schedule: Arguments
    weight_decay: float | None
    clip_norm: float | None
    precision: str
    selection: str
    validation_fraction: float
    validation_seed: int
    varies: tuple[str, ...]
    convergence: Convergence
    penalty: Penalty
    search: Search | None
    data: DataSettings
    epoch_measure: EpochMeasure

    def of_run(self, lam: str, seed: int, search_of: SearchOf | None = None) -> Settings:
        """The settings of one training like these; those of a search have no `search_of`."""
        return Settings(**vars(self), lam=lam, seed=seed, search_of=search_of)

    def with_rates(self, *, learning_rate: float, weight_decay: float) -> Self:
        """The same settings at one point of their search."""
        return replace(self, learning_rate=learning_rate, weight_decay=weight_decay)


@dataclass(frozen=True, kw_only=True)
class Settings(CellSettings):
    """Every choice that fixes one training.

    Attributes:
        lam: lambda, the penalty's strength, as the config writes it.
        seed: of the causes that vary.
        search_of: the search that gives the rates; None where the config sets them.
    """

    lam: str
    seed: int
    search_of: SearchOf | None

    @property
    def penalized(self) -> bool:
        """Whether the loss has the penalty."""
        return float(self.lam) > 0


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How the flatness of a trained model is measured.

    Attributes:
        examples: number of training examples, and of test examples, over which the loss of H is
            taken.
        subset_seed: of the choice of these examples, and of the probes.
        target_relative_error: standard error over value, of tr(H) and of tr(H^2); where these have
            no cheap closed form, probes are added until both are below it.
        max_probes: number of probes after which none are added.
        block_probes: probes added at a time.
        lanczos_steps: steps of Lanczos for the largest eigenvalue.
        lanczos_repeats: random start vectors of Lanczos.
        sharpness_radii: of SAM's balls (Euclidean norm of parameters).
        adaptive_radii: of ASAM's balls (each parameter in units of its own size).
    """

    examples: int
    subset_seed: int
    target_relative_error: float
    max_probes: int
    block_probes: int
    lanczos_steps: int
    lanczos_repeats: int
    sharpness_radii: tuple[float, ...]
    adaptive_radii: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How tr(H^2) is measured on samples of several sizes.

    Attributes:
        examples: numbers of training examples in a sample.
        pool: number of training examples that each size divides into disjoint samples.
        whole: number of examples up to which the training split is measured as a whole.
        probes: probes of a size, divided among its samples.
        seed: of the choice of the pool, and of the probes.
    """

    examples: tuple[int, ...]
    pool: int
    whole: int
    probes: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class SurfaceSettings:
    """The runs whose loss surfaces are drawn, and the resolution.

    Attributes:
        protocol: of both runs.
        lam: the lambda that is compared with 0, as the config writes it.
        seed: of both runs.
        examples: number of training examples, and of test examples, over which the loss is taken.
        direction_seed: seed of the two directions.
        points_1d: points on the line between the solutions.
        reach_1d: how far the line goes beyond either end, in units of their distance.
        points_2d: points along each axis of the plane.
        radius: half-width of the plane, in filter-normalized units.
    """

    protocol: str
    lam: str
    seed: int
    examples: int
    direction_seed: int
    points_1d: int
    reach_1d: float
    points_2d: int
    radius: float


# Fields of a training that are records of their own.
_NESTED = {
    "convergence": Convergence,
    "penalty": Penalty,
    "search": Search,
    "epoch_measure": EpochMeasure,
}
# Fields whose name in the config is a keyword of Python.
_NAMES_IN_CONFIG = {"lam": "lambda"}
_NAMES = {written: name for name, written in _NAMES_IN_CONFIG.items()}


def from_dict(kind: type[Record], written: Mapping[str, Any]) -> Record:
    """A record from a section of the completed config."""
    return kind(**{_NAMES.get(key, key): _value(key, part) for key, part in written.items()})


def as_dict(record: Any) -> dict[str, Any]:
    """A record as the config writes it, as a copy: `lambda` for `lam`, lists for tuples."""
    return {
        _NAMES_IN_CONFIG.get(field.name, field.name): as_written(getattr(record, field.name))
        for field in fields(record)
    }


def as_written(value: Any) -> Any:
    """A value, and all that it contains, as the config writes it: see `as_dict`."""
    if is_dataclass(value):
        return as_dict(value)
    if isinstance(value, Mapping):
        return {key: as_written(part) for key, part in value.items()}
    return [as_written(part) for part in value] if isinstance(value, list | tuple) else value


def _value(key: str, part: Any) -> Any:
    if key in _NESTED and part is not None:
        return from_dict(_NESTED[key], part)
    return _frozen(part)


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(part) for key, part in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
