"""Collect the results of all runs of the study into tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from flatreg import command, config, tables
from flatreg.disk.files import AGAIN, check_sha256, read_json, read_sealed
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.tables.evidence import FLATNESS_TABLE, REGISTERED_CLAIMS_TABLE, REGISTRATIONS_TABLE

MEASURED = ("tr_h", "tr_h2", "lambda_max")
# Of the parameters of the last epoch.
MEASURED_LAST = ("tr_h2", "tr_h2_stderr", "lambda_max")


def main() -> None:
    """Write metrics.csv, epochs.csv, times.csv, flatness.csv, and what was registered."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_out("folder of the tables")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    results = Path(study["paths"]["results"])
    folders = {run: run_dir(results, *run) for run in config.runs(study)}
    metrics = [metrics_row(folder) for folder in folders.values()]
    measures = [
        measure
        for folder, row in zip(folders.values(), metrics, strict=True)
        for measure in flatness_rows(folder, row)
    ]
    tables.write(
        arguments.out / "metrics.csv", _frame(metrics, tables.METRICS_TABLE), tables.METRICS_TABLE
    )
    tables.write(arguments.out / "flatness.csv", _frame(measures, FLATNESS_TABLE), FLATNESS_TABLE)
    sums = [row["epochs.csv_sha256"] for row in metrics]
    tables.write(arguments.out / "epochs.csv", _epochs(folders, sums), tables.EPOCHS_TABLE)
    times = [_name(run) | read_json(folder / "timing.json") for run, folder in folders.items()]
    tables.write(arguments.out / "times.csv", _frame(times, tables.TIMES_TABLE), tables.TIMES_TABLE)
    ledgers = {run: _ledger(folder) for run, folder in folders.items()}
    runs = [registration_row(run, ledger) for run, ledger in ledgers.items()]
    tables.write(
        arguments.out / "registrations.csv",
        _frame(runs, REGISTRATIONS_TABLE),
        REGISTRATIONS_TABLE,
    )
    tables.write(
        arguments.out / "registered_claims.csv",
        _frame(registered_rows(list(ledgers.values())), REGISTERED_CLAIMS_TABLE),
        REGISTERED_CLAIMS_TABLE,
    )


def metrics_row(folder: Path) -> dict[str, Any]:
    """A run's row of metrics.csv.

    Raises:
        UserError: the curvature belongs to another run, or a file was changed by hand.
    """
    metrics = read_sealed(folder / "metrics.json")
    curvature = _measured(folder / "curvature.json", metrics["key"])
    row = dict(metrics)
    for prefix, split in (("", "train"), ("test_", "test")):
        measured = curvature[split] or {}
        for name in MEASURED:
            row[f"{prefix}{name}"] = measured.get(name)
            row[f"{prefix}{name}_stderr"] = measured.get(f"{name}_stderr")
    last = curvature["last"] or {}
    row |= {f"last_{name}": last.get(name) for name in MEASURED_LAST}
    return row | {"probes": (curvature["train"] or {}).get("probes")}


def flatness_rows(folder: Path, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """A run's rows of flatness.csv; a diverged run has none.

    Args:
        folder: of the run.
        metrics: of `metrics_row`.

    Raises:
        UserError: the measures belong to another run, or a file was changed by hand.
    """
    measured = _measured(folder / "flatness.json", metrics["key"])
    named = {name: metrics[name] for name in (*tables.RUN, "key")}
    return [
        named | {"measure": measure, "value": value}
        for measure, value in measured["measures"].items()
    ]


def _ledger(folder: Path) -> dict[str, Any] | None:
    """What a run registered; see `flatreg.config.registration`."""
    return read_json(folder / "facts.json").get("ledger")


def registration_row(run: config.Run, ledger: dict[str, Any] | None) -> dict[str, Any]:
    """A run's row of registrations.csv.

    Args:
        run: its name.
        ledger: what it registered.
    """
    if ledger is None:
        return _name(run) | {"ledger": None, "path": None, "commit": None}
    digest = config.digest(ledger["claims"])
    return _name(run) | {"ledger": digest, "path": ledger["path"], "commit": ledger["commit"]}


def registered_rows(ledgers: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The rows of registered_claims.csv: the claims of each ledger once."""
    distinct = {config.digest(one["claims"]): one["claims"] for one in ledgers if one is not None}
    return [
        {"ledger": ledger, "claim": claim, "sha256": digest}
        for ledger, claims in distinct.items()
        for claim, digest in claims.items()
    ]


def _measured(path: Path, key: str) -> dict[str, Any]:
    """Read a measurement of the run with this key."""
    measured = read_sealed(path)
    if measured["key"] != key:
        raise UserError(f"{path} is of run {measured['key']}, not {key}; {AGAIN}")
    return measured


def _frame(rows: list[dict[str, Any]], table: Any) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(table.columns))


def _epochs(folders: dict[config.Run, Path], sums: list[str]) -> pd.DataFrame:
    """All runs' epochs.csv in one table. It is parsed once: each parse costs milliseconds.

    Raises:
        UserError: a file is missing, was changed, or has other columns than the first.
    """
    names, rows, header = [], [], None
    for (run, folder), expected in zip(folders.items(), sums, strict=True):
        path = folder / "epochs.csv"
        check_sha256(path, expected)
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        header = header or first
        if first != header:
            raise UserError(f"{path} has other columns than the first run's; {AGAIN}")
        names += [run] * len(rest)
        rows += rest
    epochs = pd.read_csv(io.StringIO("\n".join([str(header), *rows])))
    columns = pd.DataFrame(names, columns=tables.RUN)
    return pd.concat([columns, epochs], axis=1)[list(tables.EPOCHS_TABLE.columns)]


def _name(run: config.Run) -> dict[str, Any]:
    return dict(zip(tables.RUN, run, strict=True))


if __name__ == "__main__":
    command.run(main)
