"""The ledger of claims: read and held against the study before anything is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flatreg import config, tables
from flatreg.config import Config, Run
from flatreg.errors import UserError, nearest

# Quantities of a run that are no column of metrics.csv.
DERIVED = ("seconds_per_step", "accuracy_gap", "loss_gap", "estimate_ratio")
# Tests whose claim may name several lambdas, and what they then say.
_SEVERAL = {"trend": "ranked", "paired": "the one that fits worst is told"}


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
    """YAML in which a name that stands twice is a mistake; PyYAML keeps the second in silence."""


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
        study: resolved config.

    Raises:
        UserError: the first mistake, with its place.
    """
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a ledger (config: claims)") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    completed = config.complete(given if isinstance(given, dict) else {}, schema, str(path))
    claims = [Claim(name, **fields) for name, fields in completed["claims"].items()]
    for claim in claims:
        _check(claim, study, f"{path}: claims.{claim.name}")
    return claims


def _check(claim: Claim, study: Config, where: str) -> None:
    """Hold a claim against the study and against what its test needs.

    Raises:
        UserError: it names something that is not there, or lacks what its test needs.
    """
    correlated = claim.test.endswith("correlation")
    known = [*tables.METRICS_TABLE.columns, *DERIVED]
    if claim.metric not in known:
        raise UserError(f"{where}.metric: {claim.metric!r} is unknown{_near(claim.metric, known)}")
    if claim.scale == "ratio" and claim.margin <= 1:
        raise UserError(f"{where}.margin: of a ratio it is a factor above 1, not {claim.margin}")
    if correlated != (claim.target is not None):
        what = "is missing" if correlated else "is for correlations only"
        raise UserError(f"{where}.target: {what}")
    if correlated == (claim.lambdas is not None):
        what = "a correlation takes all of them" if correlated else "is missing"
        raise UserError(f"{where}.lambdas: {what}")
    if (claim.test in ("paired", "spread")) != (claim.against is not None):
        what = "is missing" if claim.against is None else f"{claim.test} needs none"
        raise UserError(f"{where}.against: {what}")
    if len(claim.lambdas or [""]) > 1 and (
        claim.test not in _SEVERAL or (claim.test == "paired" and claim.expected != "equal")
    ):
        raise UserError(f"{where}.lambdas: name one; this test cannot tell which is meant")
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
            raise UserError(f"{where}: {error}, or mend the claim") from error


def other_cell(claim: Claim, protocol: str) -> tuple[str, str]:
    """Protocol and data set of what a claim is held against."""
    against = claim.against or {}
    return against.get("protocol") or protocol, against.get("dataset") or claim.dataset


def _near(name: str, known: list[str]) -> str:
    return nearest(name, known)
