"""Draw overlays over the study, and do with those that planning takes what their jobs would do.

`python -m tests.config.overlays 500` prints how many of 500 pass planning and then fail. What a
value costs is cut (widths, probes, steps), so that only what it breaks is left: of `REAL` draws one
is compiled, trained and measured, the others are traced.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pandas as pd
from scipy import sparse

from flatreg import config
from flatreg.config import Config, Run, Settings
from flatreg.config.complete import read_file
from flatreg.config.registries import SOURCES, definitions
from flatreg.data import prepared, splits
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.data.sources import reader
from flatreg.errors import UserError
from flatreg.evidence import calibration, ledger
from flatreg.measure import estimates, sharpness, spectrum, surface
from flatreg.measure.lanes import Lane
from flatreg.measure.solution import Solution, measured_examples, probe_key
from flatreg.tables import compare
from flatreg.train import loop
from flatreg.train.program import make_program

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text("utf-8"))
CLAIMS = json.loads((ROOT / "workflow/schemas/claims.schema.json").read_text("utf-8"))
BENCH = ROOT / "bench/results/cost.json"
BASES = (("config.yaml",), ("config.yaml", "profiles/demo/study.yaml"))
TRAINING = SCHEMA["$defs"]["dataset"]["properties"]


# ── Drawing ───────────────────────────────────────────────────────────────────

# Arguments of optax, of every kind that the schema allows.
ARGUMENTS = (0, 1, 2, -1, 3, 0.5, 0.9, 0.999, 1e-8, 1e-30, 1e30, -0.5, True, False, None)
NUMBERS = (1e-30, 1e-8, 1e-3, 0.1, 0.5, 0.999, 0.999999999, 1, 3.7, 1000, 1e30, 3e38)
WHOLE = (0, 1, 2, 3, 7, 10, 32, 64, 100, 409, 410, 512, 1000, 10**4, 10**5, 10**9, 2**32 - 1)


def drawn_value(rng: random.Random, field: Config) -> Any:
    """A value that the schema of a field allows."""
    field = _resolved(field)
    if "enum" in field:
        return rng.choice(field["enum"])
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    match rng.choice(types):
        case "integer":
            return rng.choice([n for n in WHOLE if _within(n, field)])
        case "number":
            return rng.choice([n for n in NUMBERS if _within(n, field)])
        case "boolean":
            return rng.random() < 0.5
        case "array":
            items = [drawn_value(rng, field["items"]) for _ in range(rng.randint(1, 3))]
            return items if not field.get("uniqueItems") else list(dict.fromkeys(items))
        case "object":
            known = field.get("properties", {})
            some = rng.sample(sorted(known), rng.randint(min(1, len(known)), len(known)))
            some = sorted({*some, *field.get("required", [])})
            return {name: drawn_value(rng, known[name]) for name in some}
    return None


def _resolved(field: Config) -> Config:
    if "$ref" not in field:
        return field
    known = SCHEMA["$defs"] | definitions()
    return known[field["$ref"].removeprefix("#/$defs/")] | field


def _within(number: float, field: Config) -> bool:
    return (
        field.get("minimum", -np.inf) <= number <= field.get("maximum", np.inf)
        and field.get("exclusiveMinimum", -np.inf) < number < field.get("exclusiveMaximum", np.inf)
    )  # fmt: skip


def drawn_model(rng: random.Random) -> Config:
    """A model, with a number of logits that may not fit."""
    model: Config = {"name": rng.choice(["mlp", "logistic_regression"])}
    if model["name"] == "mlp":
        model |= {"hidden": rng.choices([1, 3, 8], k=rng.randint(1, 3))}
        model |= {"dropout": rng.choice([0, 0.3, 0.999999])}
    else:
        model |= {"hidden": None, "dropout": None}
    if rng.random() < 0.3:
        model["outputs"] = rng.choice([1, 2, 5, 10, 20, 100, 1000])
    return model


def drawn_optimizer(rng: random.Random) -> Config:
    """An optimizer with some of its arguments, rarely with one that it has not."""
    name = rng.choice(TRAINING["optimizer"]["enum"])
    known = [*signature(getattr(optax, name)).parameters, *(["beta"] if rng.random() < 0.1 else [])]
    some = rng.sample(known, min(len(known), rng.randint(0, 3)))
    return {
        "optimizer": name,
        # Of the study's own optimizer.
        "optimizer_arguments": {"momentum": None, "nesterov": None}
        | {argument: rng.choice(ARGUMENTS) for argument in some},
    }


def drawn_schedule(rng: random.Random) -> Config:
    """A schedule with its arguments, rarely without one that it needs."""
    name = rng.choice(TRAINING["schedule"]["properties"]["name"]["enum"])
    parameters = signature(getattr(optax.schedules, name)).parameters
    arguments = {}
    for key, parameter in parameters.items():
        if rng.random() < (0.95 if parameter.default is parameter.empty else 0.3):
            epochs = key.endswith("_steps") and rng.random() < 0.5
            written = key.removesuffix("_steps") + "_epochs" if epochs else key
            arguments[written] = rng.choice(ARGUMENTS)
    for beside in ("value", "peak_value", "init_value"):
        if rng.random() < 0.8 and not (beside == "init_value" and "peak_value" in parameters):
            arguments.pop(beside, None)
    return {"schedule": {"name": name} | arguments}


def drawn_lambdas(rng: random.Random) -> Config:
    """Lambdas in all forms and of all sizes."""
    some = rng.sample(["0.1", "1", "1e-30", "1e30", "3e38", "0.01", "1e-3", "0.001"], 2)
    return {"lambdas": ["0", *some]}


# Sections of a data set's entry, each with a function that draws it.
SECTIONS: tuple[Callable[[random.Random], Config], ...] = (
    lambda rng: {"model": drawn_model(rng)},
    drawn_optimizer,
    drawn_schedule,
    drawn_lambdas,
    lambda rng: {"penalty": drawn_value(rng, TRAINING["penalty"])},
    lambda rng: {"penalty": {"estimator": drawn_value(rng, {"$ref": "#/$defs/estimators"})}},
    lambda rng: {"search": drawn_value(rng, TRAINING["search"])},
    lambda rng: {"learning_rate": rng.choice([0.001, 1e30]), "weight_decay": 0, "search": None},
    lambda rng: {"convergence": drawn_value(rng, TRAINING["convergence"])},
)
SINGLE = (
    *("batch", "epochs", "validation_fraction", "validation_seed", "train_examples"),
    *("test_examples", "inputs"),
    *("varies", "selection", "clip_norm", "precision", "seeds"),
)


def drawn_training(rng: random.Random) -> Config:
    """Some fields of a data set's entry."""
    if rng.random() < 0.5:
        return rng.choice(SECTIONS)(rng)
    name = rng.choice(SINGLE)
    return {name: drawn_value(rng, TRAINING[name])}


def drawn_dataset(rng: random.Random) -> Config:
    """A data set that the study has not, with all that a training needs."""
    source = rng.choice(sorted(SOURCES))
    readings = SOURCES[source]["READINGS"]
    entry = {"source": source, "inputs": "raw", "batch": rng.choice([1, 32]), "epochs": 2}
    entry |= {"reading": rng.choice(readings) if readings else None, "search": None}
    entry |= {"learning_rate": 0.1, "weight_decay": 0.1, "model": drawn_model(rng)}
    return entry | drawn_training(rng)


def drawn_overlay(rng: random.Random, base: Config) -> Config:
    """Changes in one to three places of a study."""
    overlay: Config = {}
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.2:
            section = rng.choice(["measure", "surface", "data", "analysis", "calibration"])
            change = {section: _drawn_section(rng, section)}
        elif rng.random() < 0.2:
            protocol = rng.choice(
                [n for n, p in base["protocols"].items() if p and "training" in p]
            )
            change = {"protocols": {protocol: {"training": drawn_training(rng)}}}
        elif rng.random() < 0.3:
            protocol = rng.choice([n for n, p in base["protocols"].items() if p])
            change = {"protocols": {protocol: {"datasets": {"more": drawn_dataset(rng)}}}}
        else:
            protocols = {name: p for name, p in base["protocols"].items() if p is not None}
            protocol = rng.choice(sorted(protocols))
            datasets = [n for n, d in protocols[protocol]["datasets"].items() if d is not None]
            entry = {rng.choice(datasets): drawn_training(rng)}
            change = {"protocols": {protocol: {"datasets": entry}}}
        overlay = config.merge(overlay, change)
    return overlay


def _drawn_section(rng: random.Random, name: str) -> Config:
    properties = SCHEMA["properties"][name].get("properties", {})
    if name == "data":
        return {rng.choice(["breast_cancer", "digits"]): drawn_value(rng, SCHEMA["$defs"]["split"])}
    key = rng.choice([key for key in properties if properties[key].get("type") != "string"])
    return {key: drawn_value(rng, properties[key])}


# ── Planning ──────────────────────────────────────────────────────────────────


@cache
def base_study(files: tuple[str, ...]) -> str:
    """The merged config files of a base, as JSON."""
    merged: Config = {}
    for file in files:
        merged = config.merge(merged, read_file(ROOT / file))
    return json.dumps(merged)


def planned(study: Config) -> Config:
    """What a dry run checks.

    Raises:
        UserError: as it tells.
    """
    completed = config.load(study, SCHEMA)
    if completed["claims"] is not None:
        ledger.read(ROOT / completed["claims"], CLAIMS, completed, BENCH)
    config.check_optimizers(completed)
    return completed


# ── Jobs ──────────────────────────────────────────────────────────────────────

STEPS = 3
REAL = 5
RATES = ("learning_rate", "weight_decay")


def changed_cells(study: Config, base: Config) -> list[tuple[str, str]]:
    """The protocols and data sets whose settings an overlay changed."""
    both = [{cell[:2] for cell in config.cells(one)} for one in (study, base)]
    return sorted(
        cell
        for cell in both[0]
        if cell not in both[1]
        or config.cell_settings(study, *cell) != config.cell_settings(base, *cell)
        or study["protocols"][cell[0]]["datasets"][cell[1]]["lambdas"]
        != base["protocols"][cell[0]]["datasets"][cell[1]]["lambdas"]
    )


def do_jobs(rng: random.Random, study: Config, base: Config, folder: Path, *, real: bool) -> None:
    """Do what the jobs of a changed cell would, and others whose sections changed."""
    cells = changed_cells(study, base)
    if study["measure"] != base["measure"] or study["surface"] != base["surface"]:
        cells = cells or [cell[:2] for cell in config.cells(study)]
    for cell in rng.sample(cells, min(1, len(cells))):
        do_cell(study, *cell, folder, real=real)
    if study["analysis"] != base["analysis"]:
        do_tests(study)
    if study["calibration"] != base["calibration"]:
        do_calibration(study)


def do_cell(study: Config, protocol: str, dataset: str, folder: Path, *, real: bool) -> None:
    """Train a few steps at lambda 0 and above, at a point of a search, and measure."""
    training = study["protocols"][protocol]["datasets"][dataset]
    data = dataset_of(study, training["source"], folder)
    lambdas = sorted(training["lambdas"], key=float)
    cell = config.cell_settings(study, protocol, dataset)
    point = {name: getattr(cell.search, name)[-1] for name in RATES} if cell.search else {}
    seed = training["seeds"][-1]
    for lam in dict.fromkeys([lambdas[0], lambdas[-1]]):
        settings = _cheap(replace(cell.of_run(lam, seed), **point))
        solution = trained(data, settings, run=real and lam == lambdas[-1])
    if real:
        measured(study, solution)


def _cheap(settings: Settings) -> Settings:
    """The same settings with few probes, and few examples measured after an epoch."""
    penalty = replace(settings.penalty, probes=min(settings.penalty.probes, 6))
    measure = settings.epoch_measure
    measure = replace(measure, probes=min(measure.probes, 3), examples=min(measure.examples, 64))
    model = dict(settings.model)
    if "hidden" in model:
        model["hidden"] = tuple(min(width, 8) for width in model["hidden"])
    return replace(settings, penalty=penalty, epoch_measure=measure, model=model)


def trained(data: Dataset, settings: Settings, *, run: bool) -> Solution:
    """Train a few steps of the first epoch, and evaluate; or only trace these steps."""
    parts = splits.prepare(data, settings)
    program = make_program(settings, parts, penalized=settings.penalized)
    placed = loop.place(program, parts)
    trainer = loop.make_trainer(program, placed, _short(settings))
    count = min(STEPS, program.steps_per_epoch)
    plan = jax.tree.map(lambda leaf: leaf[:count], loop.epoch_plan(trainer, 0))
    state = loop.start(trainer)
    fixed, carry = loop.arguments(trainer, state, plan)
    fixed = fixed._replace(rates=fixed.rates[:count])
    if run:
        carry = program.epoch(fixed, carry)
        measure = partial(loop._measured, trainer, carry.params, 1)
        state = loop.after_epoch(trainer, state, carry, measure, {})
    else:
        jax.eval_shape(program.epoch._function, fixed, carry)
    name = Run(settings.protocol, settings.dataset, settings.lam, settings.seed)
    return Solution(name, settings, parts, program.model, state.kept.params)


def _short(settings: Settings) -> Settings:
    """The same settings, unless all of their steps take long to plan."""
    return settings if settings.epochs <= 50 else replace(settings, epochs=50)


def _at_most(settings: Any, limits: dict[str, int]) -> Any:
    """Settings with some numbers cut to what takes little time."""
    return replace(settings, **{k: min(getattr(settings, k), most) for k, most in limits.items()})


def measured(study: Config, solution: Solution) -> None:
    """Curvature, sharpness, surfaces and estimates of a model."""
    limits = {"examples": 64, "max_probes": 4, "block_probes": 4}
    limits |= {"lanczos_steps": 3, "lanczos_repeats": 2}
    settings = _at_most(config.measure_settings(study), limits)
    x, y = measured_examples(solution.data, settings)["train"]
    key = probe_key(settings.subset_seed, "train", solution.run.seed)
    lanes = [Lane(solution.params, x, y, key)]
    spectrum.measure_curvature(solution.model, lanes, settings)
    sharpness.of_models(solution.model, lanes, settings)
    if solution.run.protocol == study["surface"]["protocol"]:
        _surfaces(study, solution)
    named = study["estimates"]
    if named and (named["protocol"], named["dataset"]) == solution.run[:2]:
        for batch in estimates.draw_batches(solution.data.train, solution.settings, 1):
            estimates.compare(solution, *batch, min(named["draws"], 2))


def _surfaces(study: Config, solution: Solution) -> None:
    limits = {"examples": 64, "points_1d": 3, "points_2d": 3}
    settings = _at_most(config.surface_settings(study), limits)
    both = {"plain": solution.params, "penalized": solution.params}
    surface.surfaces(solution.data, solution.model, both, settings, 0)


def do_tests(study: Config) -> None:
    """The tests of a table of runs."""
    cells = [("a", "b", lam, seed) for lam in ("0", "0.1") for seed in range(3)]
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(cells, columns=["protocol", "dataset", "lambda", "seed"])
    runs = runs.assign(status="completed", **{m: rng.normal(size=len(runs)) for m in METRICS})
    compare.compare(runs, study["analysis"]["alpha"], study["analysis"]["power"])


METRICS = compare.tables.METRICS


def do_calibration(study: Config) -> None:
    """A few rounds of the simulations."""
    rounds = min(study["calibration"]["rounds"], 3)
    calibration.calibrate(study | {"calibration": {"rounds": rounds}}, seed=0)


# ── Data ──────────────────────────────────────────────────────────────────────


@cache
def _prepared(source: str, written: str, folder: Path) -> Dataset:
    """A source that ships with scikit-learn."""
    path = folder / f"{source}-{abs(hash(written))}.npz"
    prepared.save(path, reader(source)(json.loads(written)))
    return load_dataset(path)


def dataset_of(study: Config, source: str, folder: Path) -> Dataset:
    """A real data set where it ships with a library, else one of the same sizes and labels."""
    if "all" in SOURCES[source]["CLASS_SIZES"]:
        return _prepared(source, json.dumps(dict(config.data_settings(study, source))), folder)
    return _like(source)


@cache
def _like(source: str) -> Dataset:
    """Random examples with few features, as many of each class as the source has."""
    facts, rng = SOURCES[source], np.random.default_rng(0)
    labels = {
        split: np.repeat(
            np.arange(sum(sizes.values()), dtype=np.int32),
            [count for count, classes in sizes.items() for _ in range(classes)],
        )
        for split, sizes in facts["CLASS_SIZES"].items()
    }
    arrays = {split: rng.integers(0, 255, (len(y), 12), np.uint8) for split, y in labels.items()}
    if facts["READINGS"]:
        arrays = {s: sparse.csr_array(x / np.float32(9999)) for s, x in arrays.items()}
    return Dataset(
        name=source,
        classes=len(np.unique(labels["train"])),
        x_train=arrays["train"],
        y_train=labels["train"],
        x_test=arrays["test"],
        y_test=labels["test"],
        maximum=facts["MAXIMUM"],
        sha256="0" * 64,
    )


# ── Counting ──────────────────────────────────────────────────────────────────


class Outcome(NamedTuple):
    """What became of an overlay: "told" at planning, "fine" or "failed" in a job, and why."""

    overlay: Config
    kind: str
    why: str


def outcomes(numbers: Iterable[int], folder: Path) -> Iterator[Outcome]:
    """Draw overlays by their numbers, and try each."""
    jax.config.update("jax_disable_most_optimizations", True)
    # Each program is compiled once for all overlays that have it.
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    for number in numbers:
        yield outcome(random.Random(number), folder, real=number % REAL == 0)
        if number % 40 == 39:
            jax.clear_caches()


def outcome(rng: random.Random, folder: Path, *, real: bool) -> Outcome:
    """Draw one overlay, plan it, and do its jobs."""
    given = json.loads(base_study(rng.choice(BASES)))
    overlay = drawn_overlay(rng, given)
    try:
        study = planned(config.merge(given, overlay))
    except UserError as error:
        return Outcome(overlay, "told", str(error))
    base = config.load(copy.deepcopy(given), SCHEMA)
    try:
        do_jobs(rng, study, base, folder, real=real)
    except Exception:
        return Outcome(overlay, "failed", traceback.format_exc(limit=-4))
    return Outcome(overlay, "fine", "")


def main() -> None:
    """Print how many overlays pass planning and fail in a job, each with its reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("draws", type=int, help="how many to draw")
    parser.add_argument("--first", type=int, default=0, help="number of the first (0)")
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.draws)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for result in outcomes(numbers, Path(folder)):
            counts[result.kind] += 1
            print(f"{result.kind}: {json.dumps(result.overlay)}\n    {result.why}", flush=True)
    print(f"{arguments.draws} overlays: {dict(counts)}; {counts['failed']} passed and failed")


if __name__ == "__main__":
    main()
