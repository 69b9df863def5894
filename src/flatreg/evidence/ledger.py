"""The ledger of claims: read, and checked against the study before anything is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flatreg import config, tables
from flatreg.config import Config, Run
from flatreg.errors import UserError, nearest

# Quantities of a run that are not columns of metrics.csv.
DERIVED = ("seconds_per_step", "accuracy_gap", "loss_gap", "estimate_ratio")
# Tests whose claim may name several lambdas.
_SEVERAL = ("trend", "paired")


class Claim(NamedTuple):
    """One checkable statement; the fields are those of workflow/schemas/claims.schema.json."""

    name: str
    statement: str
    said: str
    reported: str | None
    dataset: str
    metric: str
    target: str | None
    test: str
    lambdas: list[str] | None
    against: dict[str, str | None] | None
    scale: str
    value: float | None
    expected: str
    margin: float
    reason: str
    protocols: list[str]


class _OnceLoader(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys; PyYAML silently keeps the last one."""


def _mapping(loader: _OnceLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    names = [loader.construct_object(key) for key, _ in node.value]
    for number, name in enumerate(names):
        if name in names[:number]:
            line = node.value[number][0].start_mark.line + 1
            raise UserError(f"line {line}: {name!r} is there twice; keep one")
    return dict(
        zip(names, (loader.construct_object(v, deep=True) for _, v in node.value), strict=True)
    )


_OnceLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(path: Path, schema: Config, study: Config) -> list[Claim]:
    """All claims of a ledger, each checked against the study.

    Args:
        path: the ledger (YAML).
        schema: of workflow/schemas/claims.schema.json.
        study: completed config.

    Raises:
        UserError: the first mistake, with its place.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; name a ledger (config: claims), or write"
            " `claims: null` in a file for --configfile"
        ) from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    completed = config.complete(content if isinstance(content, dict) else {}, schema, str(path))
    claims = [Claim(name, **fields) for name, fields in completed["claims"].items()]
    for claim in claims:
        _check(claim, study, f"{path}: claims.{claim.name}")
    return claims


def _check(claim: Claim, study: Config, where: str) -> None:
    """Check a claim against the study and the requirements of its test.

    Raises:
        UserError: the claim names something that the study lacks, or lacks what its test needs.
    """
    correlated = claim.test.endswith("correlation")
    known = [*tables.METRICS_TABLE.columns, *DERIVED]
    if claim.metric not in known:
        raise UserError(
            f"{where}.metric: {claim.metric!r} is unknown{nearest(claim.metric, known)}"
        )
    if claim.scale == "ratio" and claim.margin <= 1:
        raise UserError(f"{where}.margin: for a ratio give a factor above 1, not {claim.margin}")
    if correlated != (claim.target is not None):
        problem = "is missing" if correlated else "is for correlations only"
        raise UserError(f"{where}.target: {problem}")
    if correlated == (claim.lambdas is not None):
        problem = "leave it out, a correlation takes all lambdas" if correlated else "is missing"
        raise UserError(f"{where}.lambdas: {problem}")
    if (claim.test in ("paired", "spread")) != (claim.against is not None):
        problem = "is missing" if claim.against is None else f"leave it out, for test {claim.test}"
        raise UserError(f"{where}.against: {problem}")
    if len(claim.lambdas or [""]) > 1 and (
        claim.test not in _SEVERAL or (claim.test == "paired" and claim.expected != "equal")
    ):
        raise UserError(f"{where}.lambdas: name one lambda, this test does not take several")
    for protocol in claim.protocols:
        _check_cells(claim, protocol, study, where)


def _check_cells(claim: Claim, protocol: str, study: Config, where: str) -> None:
    against = {key: name for key, name in (claim.against or {}).items() if name is not None}
    for cell in [(protocol, claim.dataset), other_cell(claim, protocol)]:
        lambdas = [*(claim.lambdas or []), *([against["lambda"]] if "lambda" in against else [])]
        try:
            seeds = config.seeds(study, *cell)
            for lam in lambdas:
                config.settings(study, Run(*cell, lam, seeds[0]))
        except UserError as error:
            raise UserError(f"{where}: {error}, or correct the claim") from error


def other_cell(claim: Claim, protocol: str) -> tuple[str, str]:
    """Protocol and data set that a claim compares its own with."""
    against = claim.against or {}
    return against.get("protocol") or protocol, against.get("dataset") or claim.dataset
