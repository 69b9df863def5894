"""The ledger of claims: read, and checked against the study before anything is planned."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from flatreg import config, tables
from flatreg.config import BASELINE, Config, Run
from flatreg.disk.yaml_files import read_yaml
from flatreg.errors import UserError, nearest
from flatreg.evidence import bench
from flatreg.tables.evidence import FAMILIES, ROBUSTNESS

# Quantities of a run that are not columns of metrics.csv.
GAPS = ("accuracy_gap", "loss_gap", "last_accuracy_gap", "last_loss_gap")
ESTIMATED = "estimate_ratio"
# 1 for a run that diverged, else 0; the other quantities of a diverged run are missing.
DIVERGED = "diverged"
# Quantities that only a run with a penalty has.
PENALIZED = ("tr_h2_training", "strength")
# Tests of what the penalty does, which plain training that learned nothing cannot decide.
OF_THE_PENALTY = ("paired", "trend", "correlation", "partial_correlation")
# Snakemake takes `null` on its command line for text.
NO_LEDGER = (
    "name a ledger; for a study without one write `claims: null` in a config file, or"
    " `--config claims=` on the command line"
)


class Claim(NamedTuple):
    """One checkable statement; the fields are those of workflow/schemas/claims.schema.json."""

    name: str
    family: str
    statement: str
    said: str
    reported: str | None
    dataset: str
    metric: str | None
    target: str | None
    way: str | None
    test: str
    lambdas: list[str] | None
    against: dict[str, str | None] | None
    scale: str
    value: float | None
    expected: str
    margin: float
    reason: str
    protocols: list[str]

    def family_under(self, protocol: str) -> str:
        """The family of tests that its trial under a protocol belongs to."""
        return self.family if protocol == self.protocols[0] else ROBUSTNESS


def read(path: Path, schema: Config, study: Config, timed: Path) -> list[Claim]:
    """All claims of a ledger, each checked against the study.

    Args:
        path: the ledger (YAML).
        schema: of workflow/schemas/claims.schema.json.
        study: completed config.
        timed: what `make bench` measured; read if a claim is about time.

    Raises:
        UserError: the first mistake, with its place.
    """
    content = read_yaml(path, NO_LEDGER)
    completed = config.complete(content if isinstance(content, dict) else {}, schema, str(path))
    claims = [Claim(name, **fields) for name, fields in completed["claims"].items()]
    if not any(claim.family == FAMILIES[0] for claim in claims):
        raise UserError(
            f"{path}: claims: none is of the family {FAMILIES[0]}; mark those that the study stands"
            " or falls with"
        )
    for claim in claims:
        where = f"{path}: claims.{claim.name}"
        _check_fields(claim, where)
        for protocol in claim.protocols:
            try:
                _check_protocol(claim, protocol, study, timed)
            except UserError as error:
                raise UserError(f"{where}: {error}, or correct the claim") from error
    return claims


def _check_fields(claim: Claim, where: str) -> None:
    """Check a claim against the requirements of its test.

    Raises:
        UserError: the claim has a field that does not fit, or lacks what its test needs.
    """
    known = [*_numbers(), *GAPS, ESTIMATED, DIVERGED]
    if claim.metric is not None and claim.metric not in known:
        raise UserError(
            f"{where}.metric: {claim.metric!r} is unknown{nearest(claim.metric, known)}"
        )
    correlated, timed = claim.test.endswith("correlation"), claim.test == "bench"
    _check_needed(claim, "metric", where, needed=not timed)
    _check_needed(claim, "way", where, needed=timed)
    _check_needed(claim, "target", where, needed=correlated)
    _check_needed(claim, "lambdas", where, needed=not correlated and not timed)
    _check_needed(claim, "against", where, needed=claim.test in ("paired", "spread"))
    _check_scale(claim, where)
    _check_value(claim, where)
    _check_number_of_lambdas(claim, where)


def _check_scale(claim: Claim, where: str) -> None:
    """Check that scale and margin are those of what the test gives."""
    correlated = claim.test == "trend" or claim.test.endswith("correlation")
    if claim.test in ("spread", "bench") and claim.scale != "ratio":
        raise UserError(f"{where}.scale: test {claim.test} gives a ratio; write scale: ratio")
    if correlated and claim.scale == "ratio":
        raise UserError(f"{where}.scale: a correlation is no ratio; leave it out")
    if correlated and claim.margin >= 1:
        raise UserError(f"{where}.margin: for a correlation give less than 1, not {claim.margin}")
    if claim.scale == "ratio" and claim.margin <= 1:
        raise UserError(f"{where}.margin: for a ratio give a factor above 1, not {claim.margin}")


def _check_value(claim: Claim, where: str) -> None:
    if claim.scale == "ratio" and claim.value is not None and claim.value <= 0:
        raise UserError(f"{where}.value: for a ratio give a number above 0, not {claim.value}")
    if claim.value is not None and claim.test not in ("paired", "mean", "bench"):
        raise UserError(f"{where}.value: leave it out, for test {claim.test}")


def _check_number_of_lambdas(claim: Claim, where: str) -> None:
    count = len(claim.lambdas or [])
    takes_several = claim.test == "trend" or (claim.test, claim.expected) == ("paired", "equal")
    if count > 1 and not takes_several:
        raise UserError(f"{where}.lambdas: name one lambda, this test does not take several")
    if claim.test == "trend" and count < 2:
        raise UserError(f"{where}.lambdas: a trend needs at least two lambdas; name another")


def _check_needed(claim: Claim, name: str, where: str, *, needed: bool) -> None:
    """Check that a field is there exactly if the claim's test needs it."""
    given = getattr(claim, name) is not None
    if given != needed:
        problem = f"leave it out, for test {claim.test}" if given else "is missing"
        raise UserError(f"{where}.{name}: {problem}")


def _numbers() -> list[str]:
    """The columns of metrics.csv that hold measured numbers."""
    columns = tables.METRICS_TABLE.columns.items()
    numbers = ("Int64", "float64")
    return [name for name, column in columns if str(column.dtype) in numbers and name != "seed"]


def _check_protocol(claim: Claim, protocol: str, study: Config, timed: Path) -> None:
    """Check that a protocol can decide a claim.

    Raises:
        UserError: it lacks a data set, a lambda, the metric, or plain training to compare with; or
            its network was not timed in this way.
    """
    if claim.test == "bench":
        config.seeds(study, protocol, claim.dataset)
        cost = bench.read(timed)
        bench.check_network(cost, study, protocol, claim.dataset)
        bench.rounds_of(cost, claim.dataset, str(claim.way), interval_of(claim, protocol, study))
        return
    against = {key: name for key, name in (claim.against or {}).items() if name is not None}
    own, other = (protocol, claim.dataset), other_cell(claim, protocol)
    _check_lambdas(own, claim.lambdas or [], study)
    _check_lambdas(
        other, [against["lambda"]] if "lambda" in against else claim.lambdas or [], study
    )
    for cell in (own, other):
        _check_metric(claim, cell, study)
        if claim.test in OF_THE_PENALTY:
            plain_cell(study, *cell)


def _check_lambdas(cell: tuple[str, str], lambdas: list[str], study: Config) -> None:
    seeds = config.seeds(study, *cell)
    for lam in lambdas:
        config.settings(study, Run(*cell, lam, seeds[0]))


def _check_metric(claim: Claim, cell: tuple[str, str], study: Config) -> None:
    protocol, dataset = cell
    if claim.metric in PENALIZED and BASELINE in (claim.lambdas or []):
        raise UserError(f"plain training has no {claim.metric}; leave lambda 0 out of lambdas")
    estimated = {run[:3] for run in config.estimated_runs(study)}
    if claim.metric == ESTIMATED and (*cell, (claim.lambdas or [""])[0]) not in estimated:
        raise UserError(
            f"{protocol}/{dataset} at lambda {(claim.lambdas or [''])[0]} has no {ESTIMATED}; name"
            " what the config's `estimates` names"
        )


def plain_cell(study: Config, protocol: str, dataset: str) -> tuple[str, str, str]:
    """The cell of plain training of a protocol: its own, or that of a protocol that it extends.

    Raises:
        UserError: there is none, so nothing shows whether the runs can learn.
    """
    for name in config.lineage(study, protocol):
        own = study["protocols"][name]["datasets"].get(dataset)
        if own is not None and BASELINE in own["lambdas"]:
            return name, dataset, BASELINE
    raise UserError(
        f"{protocol}/{dataset} has no plain training (lambda 0) that shows whether it learns; add"
        " it to the config"
    )


def interval_of(claim: Claim, protocol: str, study: Config) -> int:
    """The number of steps from penalty to penalty under a protocol."""
    return int(study["protocols"][protocol]["datasets"][claim.dataset]["penalty"]["interval"])


def other_cell(claim: Claim, protocol: str) -> tuple[str, str]:
    """Protocol and data set that a claim compares its own with."""
    against = claim.against or {}
    return against.get("protocol") or protocol, against.get("dataset") or claim.dataset
