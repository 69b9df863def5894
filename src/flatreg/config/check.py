"""Check a config; each mistake is one line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from flatreg.config.penalties import check_penalty, check_targets
from flatreg.config.places import check_places
from flatreg.config.registries import SOURCES, UNSPLIT_SOURCES
from flatreg.config.searches import check_search
from flatreg.config.sizes import check_sizes
from flatreg.config.study import (
    BASELINE,
    LARGEST_NUMBER,
    TEXT_SOURCES,
    Config,
    Run,
    cell_settings,
    entry,
    estimated_runs,
    runs,
    sampled_datasets,
    sampled_runs,
    settings,
)
from flatreg.errors import UserError, nearest

# Tables of the paper, table_NAME, that are not of a data set.
OTHER_TABLES = ("budget", "variance", "forensics")


def check_keys(value: Any, where: str = "config") -> None:
    """Refuse keys that are not text, such as a bare `1:` or `on:`: paths and JSON need text."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            check_keys(item, f"{where}[{number}]")
    if not isinstance(value, dict):
        return
    for key, part in value.items():
        if not isinstance(key, str):
            raise UserError(f"{where}: key {key!r} is not text; write it in quotes or rename it")
        check_keys(part, f"{where}.{key}" if ": " in where else f"{where}: {key}")


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: Any, value: Any) -> bool:
    number = _is_integer(checker, value) or isinstance(value, float)
    return number and abs(value) <= LARGEST_NUMBER


@cache
def _validator() -> Any:
    """The class of jsonschema that checks a document, with these two types of numbers."""
    import jsonschema  # here, because commands that read a completed config check nothing

    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)


# The depth in the config up to which a missing key, or an empty section, is a mistake.
STUDY, PROTOCOLS, EVERYWHERE = 2, 3, math.inf
_LACKING = ("required", "minProperties")


def check_schema(config: Config, schema: Config, *, missing: float, where: str = "config") -> None:
    """Check a document against a schema.

    Args:
        config: the document.
        schema: its JSON schema.
        missing: depth from which a key may be missing: `STUDY`, `PROTOCOLS` or `EVERYWHERE`.
        where: beginning of the error message.

    Raises:
        UserError: the first mistake, by key path.
    """
    from jsonschema.exceptions import best_match  # here, as in `_validator`

    error = best_match(
        error
        for error in _validator()(schema).iter_errors(config)
        if error.validator not in _LACKING or len(error.absolute_path) < missing
    )
    if error is not None:
        raise UserError(f"{where}: {_path(error.absolute_path)}{_reason(error)}")


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{path[1:]}: " if path else ""


def _reason(error: Any) -> str:
    """What is wrong with a value and what is allowed, in a few words, from jsonschema's error."""
    value, limit = error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path and error.validator != "maxLength":
        if error.validator == "enum":
            return f"unknown key {_short(value)}{nearest(value, limit)}"
        return f"{_short(value)} is not a valid name; use a-z, 0-9 and _, a letter first"
    match error.validator:
        case "not":
            return "is not allowed here; write it beside `training` or in a data set"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in value if key not in known)
            if ":" in unknown:
                return f"unknown key {_short(unknown)}; YAML wants a space after a colon"
            return f"unknown key {_short(unknown)}{nearest(unknown, known)}"
        case "required":
            missing = next(key for key in limit if key not in value)
            return f"{missing!r} is missing"
        case "enum":
            known = [_short(choice) for choice in limit]
            if len(known) <= 4:
                return f"{_short(value)} is unknown; known are {', '.join(known)}"
            return f"{_short(value)} is unknown{nearest(_short(value), known)}"
        case "type":
            return f"must be {_kind(limit)}, not {_short(value)}{_type_hint(value, limit)}"
        case "pattern" if "lambdas" in error.absolute_path:
            return f"lambda {_lambda_reason(value)}"
        case "pattern":
            return f"{_short(value)} may hold letters, digits and . _ - / only"
        case "uniqueItems":
            twice = next(part for part in value if value.count(part) > 1)
            return f"{_short(twice)} is listed twice; keep one"
        case "minItems" | "minProperties":
            return "must not be empty"
        case "maxItems":
            return f"must have at most {limit} entries, not {len(value)}"
        case "maxLength":
            return (
                f"{_short(value)} is too long for the name of a file; use at most {limit} letters"
            )
    bounds = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "above",
        "exclusiveMaximum": "below",
    }
    return f"must be {bounds[error.validator]} {limit}, not {_short(value)}"


def _kind(types: str | list[str]) -> str:
    names = {
        "object": "a section of keys",
        "array": "a list",
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
    }
    return " or ".join(names[name] for name in ([types] if isinstance(types, str) else types))


def _type_hint(value: Any, types: str | list[str]) -> str:
    if types == "string" and isinstance(value, int | float):
        return f'; write it in quotes: "{value}"'
    if "string" not in types and isinstance(value, str) and _NO_TEXT.fullmatch(value):
        return (
            "; write it without quotes, and in a config file: of `--config 'a={b: c}'` Snakemake"
            " takes c for text"
        )
    if "number" in types and isinstance(value, str) and "e" in value.lower():
        return "; YAML reads 1.0e-3 as a number, 1e-3 as text"
    return ""


# Texts that YAML reads as a number, true, false or null.
_NO_TEXT = re.compile(r"[-+]?[0-9]+([.][0-9]*(e[-+]?[0-9]+)?)?|true|false|null")


def _lambda_reason(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return f"{_short(text)} is not a number"
    if not math.isfinite(value):
        return f"{_short(text)} is not a finite number"
    if value < 0:
        return f"{_short(text)} is negative"
    return f'{_short(text)} is not in a known form; write it as "0.1" or "1e-3"'


def _short(value: Any) -> str:
    """A value on one line, cut if it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_study(config: Config) -> None:
    """Check what a schema cannot express.

    Raises:
        UserError: the first mistake, by key path.
    """
    check_places(config["paths"])
    _check_analysis(config["analysis"])
    for name in ("sharpness_radii", "adaptive_radii"):
        _check_radii(config["measure"][name], f"config: measure.{name}")
    for name, protocol in config["protocols"].items():
        where = f"config: protocols.{name}"
        plain = protocol["extends"] is None
        _check_lambdas(protocol["lambdas"], f"{where}.lambdas", with_plain=plain)
        for dataset, training in protocol["datasets"].items():
            own = f"{where}.datasets.{dataset}.lambdas"
            _check_lambdas(training["lambdas"], own, with_plain=plain)
            _check_training(config, training, f"{where}.datasets.{dataset}")
            check_search(config, name, dataset)
            if dataset in OTHER_TABLES:
                raise UserError(
                    f"{where}.datasets.{dataset}: the paper has a table of this name already;"
                    " rename it, and give its `source`"
                )
        if not plain:
            check_targets(config, name)
    _check_surface(config)
    known = set(runs(config))
    _check_estimates(config)
    _check_sample_sizes(config)
    for number, run in enumerate(config["verify"]["runs"]):
        if Run(run["protocol"], run["dataset"], run["lambda"], run["seed"]) not in known:
            raise UserError(
                f"config: verify.runs[{number}]: the study has no run {run['protocol']}/"
                f"{run['dataset']}/lambda-{run['lambda']}/seed-{run['seed']}; choose another"
            )


def _check_analysis(analysis: Config) -> None:
    """Check that the power is one that some effect has: without any, it is alpha."""
    if analysis["power"] <= analysis["alpha"]:
        raise UserError(
            f"config: analysis.power: must be above alpha, {analysis['alpha']}, not"
            f" {analysis['power']}: so often a test finds an effect where there is none"
        )


def _check_radii(radii: list[float], where: str) -> None:
    """Check that measures at these radii have names of their own, as in the tables."""
    names: dict[str, float] = {}
    for radius in radii:
        name = f"{radius:g}"
        if name in names:
            raise UserError(
                f"{where}: {names[name]} and {radius} are both {name} in the tables; keep one"
            )
        names[name] = radius


def _check_surface(config: Config) -> None:
    surface = config["surface"]
    if surface["points_2d"] % 2 == 0:
        raise UserError(
            "config: surface.points_2d: must be odd, so that the solution is one of the points,"
            f" not {surface['points_2d']}"
        )
    protocol = entry(config["protocols"], surface["protocol"], "config: surface.protocol:")
    for dataset, training in protocol["datasets"].items():
        choices = {
            "lambda": [lam for lam in training["lambdas"] if lam != BASELINE],
            "seed": training["seeds"],
        }
        if BASELINE not in training["lambdas"]:
            raise UserError(
                f"config: surface.protocol: {surface['protocol']}/{dataset} has no lambda"
                f' "{BASELINE}" to compare with; choose a protocol that has'
            )
        for name, known in choices.items():
            if surface[name] not in known:
                raise UserError(
                    f"config: surface.{name}: {surface['protocol']}/{dataset} has no {name} "
                    f"{_short(surface[name])} to show; choose one of {', '.join(map(str, known))}"
                )


def _check_estimates(config: Config) -> None:
    if config["estimates"] is None:
        return
    try:
        named = estimated_runs(config)
        model = cell_settings(config, *named[0][:2]).model["name"]
        settings(config, named[0])
    except UserError as error:
        raise UserError(f"config: estimates: {error}, or name another run") from error
    if model != "logistic_regression":
        raise UserError(
            f"config: estimates: {named[0].dataset} is a {model}; tr(H^2) has a closed form for "
            "logistic regression only"
        )


def _check_sample_sizes(config: Config) -> None:
    """Check that `sample_sizes` names data sets of its protocol, each with some of its lambdas."""
    try:
        named = {dataset: sampled_runs(config, dataset) for dataset in sampled_datasets(config)}
    except UserError as error:
        raise UserError(f"config: sample_sizes: {error}, or name another") from error
    for dataset, some in named.items():
        if not some:
            sampled = config["sample_sizes"]
            known = config["protocols"][sampled["protocol"]]["datasets"][dataset]["lambdas"]
            raise UserError(
                f"config: sample_sizes.lambdas: {sampled['protocol']}/{dataset} has none of them;"
                f" add one of {', '.join(known)}, or leave the data set out"
            )


def _check_lambdas(lambdas: list[str], where: str, *, with_plain: bool) -> None:
    values: dict[float, str] = {}
    for lam in lambdas:
        value = float(lam)
        if not math.isfinite(value):
            raise UserError(f"{where}: lambda {lam!r} is not a finite number")
        if value > LARGEST_NUMBER:
            raise UserError(
                f"{where}: lambda {lam!r} is beyond single precision; take a smaller one"
            )
        if value in values:
            raise UserError(f"{where}: {values[value]!r} and {lam!r} are the same lambda; keep one")
        values[value] = lam
    if with_plain and BASELINE not in lambdas:
        raise UserError(f'{where}: lambda "{BASELINE}", the plain training, is missing; add it')


def _check_training(config: Config, training: Config, where: str) -> None:
    for name in ("learning_rate", "weight_decay"):
        fixed, searched = training[name] is not None, training["search"] is not None
        if fixed == searched:
            raise UserError(
                f"{where}.{name}: "
                + ("both set and searched; keep one" if fixed else "missing; give it or a `search`")
            )
    is_text = training["source"] in TEXT_SOURCES
    if is_text != (training["reading"] is not None):
        what = "missing; write `whole` or `stripped`" if is_text else "only texts have a reading"
        raise UserError(f"{where}.reading: {what}")
    readings = SOURCES[training["source"]]["READINGS"]
    if is_text and training["reading"] not in readings:
        raise UserError(
            f"{where}.reading: {training['source']} has no reading `{training['reading']}`; "
            f"write `{readings[0]}`"
        )
    if "test_split" in training["varies"] and training["source"] not in UNSPLIT_SOURCES:
        raise UserError(
            f"{where}.varies: {training['source']} has a standard test split; leave test_split out"
        )
    if is_text and training["inputs"] != "raw":
        raise UserError(f"{where}.inputs: TF-IDF is scaled already and sparse; write `raw`")
    check_sizes(config, training, where)
    check_penalty(config, training, where)
