"""Read the study: its runs, and every choice that fixes one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from flatreg.config.records import (
    CellSettings,
    DataSettings,
    MeasureSettings,
    SamplingSettings,
    SearchOf,
    Settings,
    SurfaceSettings,
    as_dict,
    as_written,
    from_dict,
)
from flatreg.config.registries import TEXT_SOURCES
from flatreg.errors import UserError, nearest

Config = dict[str, Any]
BASELINE = "0"
# Fields that change no number: where results go, how they are made, and what is verified.
NO_NUMBER = ("paths", "checkpoint", "lanes", "verify")
# The largest number in single precision, in which everything is trained.
LARGEST_NUMBER = 3.4028234e38


class Run(NamedTuple):
    """The name of one training; `lam` is the config's string."""

    protocol: str
    dataset: str
    lam: str
    seed: int


def runs(config: Config) -> list[Run]:
    """Every run of the study, in the order of the config."""
    return [
        Run(name, dataset, lam, seed)
        for name, protocol in config["protocols"].items()
        for dataset, training in protocol["datasets"].items()
        for lam in training["lambdas"]
        for seed in training["seeds"]
    ]


def sources(config: Config) -> list[str]:
    """The distinct sources that the study reads, sorted by name."""
    protocols = config["protocols"].values()
    return sorted({d["source"] for protocol in protocols for d in protocol["datasets"].values()})


def cells(config: Config) -> list[tuple[str, str, str]]:
    """Protocol, data set and lambda of every cell, in the order of the config."""
    return list(dict.fromkeys(run[:3] for run in runs(config)))


def cell_runs(config: Config, protocol: str, dataset: str, lam: str) -> list[Run]:
    """The runs of a cell, one per seed."""
    return [run for run in runs(config) if run[:3] == (protocol, dataset, lam)]


def surface_datasets(config: Config) -> list[str]:
    """The data sets whose loss surfaces are drawn."""
    return list(config["protocols"][config["surface"]["protocol"]]["datasets"])


def surface_runs(config: Config, dataset: str) -> list[Run]:
    """The two runs whose surfaces are compared: at lambda 0 and at the config's lambda above 0."""
    surface = config["surface"]
    return [
        Run(surface["protocol"], dataset, lam, surface["seed"])
        for lam in (BASELINE, surface["lambda"])
    ]


def rescaled_run(config: Config) -> Run | None:
    """The run whose layers are rescaled: of the last perceptron in `surface_datasets`, if any."""
    surface = config["surface"]
    datasets = config["protocols"][surface["protocol"]]["datasets"]
    perceptrons = [
        name for name, training in datasets.items() if training["model"]["name"] == "mlp"
    ]
    if not perceptrons:
        return None
    return Run(surface["protocol"], perceptrons[-1], BASELINE, surface["seed"])


def field(config: Config, place: str) -> Any:
    """The value at a place of the config; dots separate the keys (`analysis.alpha`)."""
    value: Any = config
    for key in place.split("."):
        value = value[key]
    return value


def decisive(config: Config) -> Config:
    """The fields of a study that can change a number."""
    return {name: value for name, value in config.items() if name not in NO_NUMBER}


def main_protocols(config: Config) -> list[str]:
    """The protocols that extend no other: figures and main tables show these."""
    return [name for name, protocol in config["protocols"].items() if protocol["extends"] is None]


def lineage(config: Config, protocol: str) -> Iterator[str]:
    """A protocol, the one that it extends, and so on up the chain."""
    name: str | None = protocol
    while name is not None:
        yield name
        name = config["protocols"][name]["extends"]


def estimated_runs(config: Config) -> list[Run]:
    """The runs that `estimates` of the config names; none where it is null."""
    named = config["estimates"]
    if named is None:
        return []
    cell = named["protocol"], named["dataset"]
    return [Run(*cell, named["lambda"], seed) for seed in seeds(config, *cell)]


def sampled_datasets(config: Config) -> list[str]:
    """The data sets that `sample_sizes` of the config names; none where it is null."""
    named = config["sample_sizes"]
    if named is None:
        return []
    there = entry(config["protocols"], named["protocol"], "protocol")["datasets"]
    return list(there if named["datasets"] is None else named["datasets"])


def sampled_runs(config: Config, dataset: str) -> list[Run]:
    """The runs of a data set that `sample_sizes` names.

    Raises:
        UserError: the config has no such protocol or data set.
    """
    named = config["sample_sizes"]
    training = _training(config, named["protocol"], dataset)
    chosen = training["lambdas"] if named["lambdas"] is None else named["lambdas"]
    return [
        Run(named["protocol"], dataset, lam, seed)
        for lam in training["lambdas"]
        if lam in chosen
        for seed in training["seeds"][: named["seeds"]]
    ]


def cell_settings(config: Config, protocol: str, dataset: str) -> CellSettings:
    """Every choice that fixes the trainings of a data set, except lambda and seed.

    Raises:
        UserError: the config has no such protocol or data set.
    """
    training = _training(config, protocol, dataset)
    measure = config["measure"]
    return from_dict(
        CellSettings,
        {
            "protocol": protocol,
            "dataset": dataset,
            **{key: part for key, part in training.items() if key not in ("lambdas", "seeds")},
            "data": data_settings(config, training["source"]),
            "epoch_measure": {
                "examples": measure["epoch_examples"],
                "probes": measure["epoch_probes"],
            },
        },
    )


# Fields of a training on which its search does not depend: it has seeds of its own and no test
# split, and which causes its seeds vary is up to the protocol whose search it is.
_NOT_SEARCHED = {"lambdas", "seeds", "varies", "test_examples"}


def search_of(config: Config, protocol: str, dataset: str, lam: str) -> SearchOf | None:
    """The search that gives runs of a cell their rates; None where the config sets them.

    A protocol uses the search of the one it extends if both search the same trainings, and so on up
    the chain.
    """
    search = _training(config, protocol, dataset)["search"]
    if search is None:
        return None
    return _first_search(config, protocol, dataset, search["lambda"] or lam)


def _first_search(config: Config, protocol: str, dataset: str, lam: str) -> SearchOf:
    """The search at a lambda, of the first protocol in the chain that searches the same."""
    base = config["protocols"][protocol]["extends"]
    there = {} if base is None else config["protocols"][base]["datasets"]
    here = _training(config, protocol, dataset)
    if dataset in there and _searched(there[dataset], lam) == _searched(here, lam):
        return _first_search(config, base, dataset, lam)
    return SearchOf(protocol=protocol, lam=lam)


def _searched(training: Config, lam: str) -> Config:
    """What a search at a lambda depends on: at lambda 0 not on the penalty."""
    unused = _NOT_SEARCHED | _unused_at(lam)
    fields = {name: value for name, value in training.items() if name not in unused}
    return fields | {"search": (training["search"] or {}) | {"lambda": None}}


def seeds(config: Config, protocol: str, dataset: str) -> list[int]:
    """The seeds of a data set of a protocol.

    Raises:
        UserError: the config has no such protocol or data set.
    """
    return list(_training(config, protocol, dataset)["seeds"])


def settings(config: Config, run: Run) -> Settings:
    """Every choice that fixes one training.

    Raises:
        UserError: the config has no such run.
    """
    training = _training(config, run.protocol, run.dataset)
    for name, value in (("lambda", run.lam), ("seed", run.seed)):
        known = training[f"{name}s"]
        if value not in known:
            raise UserError(
                f"{name} {value} is not one of {run.protocol}/{run.dataset}'s "
                f"({', '.join(map(str, known))}); add it to the config"
            )
    cell = cell_settings(config, run.protocol, run.dataset)
    return cell.of_run(run.lam, run.seed, search_of(config, *run[:3]))


def seed_of(settings: Settings, cause: str) -> int:
    """The seed of one cause of randomness: the run's own where it varies, else 0."""
    return settings.seed if cause in settings.varies else 0


def data_settings(config: Config, source: str) -> DataSettings:
    """The fields of `data` that concern one source."""
    section = "text" if source in TEXT_SOURCES else source
    return dict(config["data"].get(section, {}))


def measure_settings(config: Config) -> MeasureSettings:
    """The fields of `measure` that concern trained models, without those of the epochs."""
    measure = config["measure"]
    return from_dict(
        MeasureSettings, {k: v for k, v in measure.items() if not k.startswith("epoch_")}
    )


def sampling_settings(config: Config) -> SamplingSettings:
    """The fields of `sample_sizes` that say how each run is measured."""
    names = ("examples", "pool", "whole", "probes")
    sampling = {name: config["sample_sizes"][name] for name in names}
    return from_dict(SamplingSettings, sampling | {"seed": config["measure"]["subset_seed"]})


def surface_settings(config: Config) -> SurfaceSettings:
    """The fields of `surface`."""
    return from_dict(SurfaceSettings, config["surface"])


def run_key(settings: Settings, data_sha256: str) -> str:
    """16 hex digits that identify a run by its settings and its data."""
    return digest({"settings": settings_key(settings), "data": data_sha256})


def settings_key(settings: Settings) -> str:
    """16 hex digits that identify a run's settings; at lambda 0 without those of the penalty."""
    return _digest_without(_unused_at(settings.lam), settings)


def cell_key(config: Config, protocol: str, dataset: str, lam: str) -> str:
    """16 hex digits that identify what runs of a cell share; at lambda 0 without the penalty."""
    cell = cell_settings(config, protocol, dataset)
    search = search_of(config, protocol, dataset, lam)
    return digest({"cell": _digest_without(_unused_at(lam), cell), "search_of": search})


def selection_key(cell: CellSettings, lam: str) -> str:
    """16 hex digits of what a search depends on: no measurement of epochs, no penalty at 0."""
    fields = _digest_without({"epoch_measure"} | _unused_at(lam), cell)
    return digest({"cell": fields, "lambda": lam})


def _unused_at(lam: str) -> set[str]:
    """The fields on which a training at a lambda does not depend."""
    return {"penalty"} if lam == BASELINE else set()


# At these values the numbers of runs are those of a config without the field, and so are keys.
_IN_NO_KEY = {"precision": "default"}


def _digest_without(unused: set[str], settings: CellSettings) -> str:
    return digest(
        {
            name: value
            for name, value in as_dict(settings).items()
            if name not in unused and (name, value) not in _IN_NO_KEY.items()
        }
    )


def digest(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of a value's canonical JSON (1.0 is written 1).

    A record is digested as the config writes it (`flatreg.config.records.as_dict`).
    """
    written = _plain(as_written(value))
    canonical = json.dumps(written, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def entry(table: Config, name: str, kind: str) -> Any:
    """The value of a name in a mapping of the config.

    Raises:
        UserError: there is no such name; the message names the nearest.
    """
    if name not in table:
        raise UserError(f"{kind} {name!r} is not in the config{nearest(name, table)}")
    return table[name]


def _training(config: Config, protocol: str, dataset: str) -> Config:
    """The config's entry of a data set of a protocol."""
    entries = entry(config["protocols"], protocol, "protocol")["datasets"]
    return entry(entries, dataset, f"data set of {protocol}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
