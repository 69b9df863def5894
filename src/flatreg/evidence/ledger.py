"""The ledger of claims: read, and checked against the study before anything is planned."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from flatreg import config, tables
from flatreg.config import Config, Run
from flatreg.disk.yaml_files import read_yaml
from flatreg.errors import UserError, nearest

# Quantities of a run that are not columns of metrics.csv.
DERIVED = ("accuracy_gap", "loss_gap", "estimate_ratio")
# Tests whose claim may name several lambdas.
_SEVERAL = ("trend", "paired")
# Snakemake takes `null` on its command line for text.
NO_LEDGER = (
    "name a ledger; for a study without one write `claims: null` in a config file, or"
    " `--config claims=` on the command line"
)


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


def read(path: Path, schema: Config, study: Config) -> list[Claim]:
    """All claims of a ledger, each checked against the study.

    Args:
        path: the ledger (YAML).
        schema: of workflow/schemas/claims.schema.json.
        study: completed config.

    Raises:
        UserError: the first mistake, with its place.
    """
    content = read_yaml(path, NO_LEDGER)
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
    known = [*_numbers(), *DERIVED]
    if claim.metric not in known:
        raise UserError(
            f"{where}.metric: {claim.metric!r} is unknown{nearest(claim.metric, known)}"
        )
    if claim.scale == "ratio" and claim.margin <= 1:
        raise UserError(f"{where}.margin: for a ratio give a factor above 1, not {claim.margin}")
    if claim.scale == "ratio" and claim.value is not None and claim.value <= 0:
        raise UserError(f"{where}.value: for a ratio give a number above 0, not {claim.value}")
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
    if claim.test == "trend" and len(claim.lambdas or []) < 2:
        raise UserError(f"{where}.lambdas: a trend needs at least two lambdas; name another")
    for protocol in claim.protocols:
        _check_cells(claim, protocol, study, where)


def _numbers() -> list[str]:
    """The columns of metrics.csv that hold measured numbers."""
    columns = tables.METRICS_TABLE.columns.items()
    numbers = ("Int64", "float64")
    return [name for name, column in columns if str(column.dtype) in numbers and name != "seed"]


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
