"""Test each lambda above 0 against lambda 0."""

from __future__ import annotations

import pandas as pd

from flatreg import command, statistics, tables
from flatreg.config import BASELINE
from flatreg.disk.files import read_json


def main() -> None:
    """Write tests.csv."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "metrics")
    parser.add_out("tests.csv")
    arguments = parser.parse_args()
    analysis = read_json(arguments.config)["analysis"]
    metrics = tables.read(arguments.metrics, tables.METRICS_TABLE)
    tests = compare(metrics, analysis["alpha"], analysis["power"])
    tables.write(arguments.out, tests, tables.TESTS_TABLE)


def compare(metrics: pd.DataFrame, alpha: float, power: float) -> pd.DataFrame:
    """One row per cell and metric, for every lambda above 0.

    Holm's adjustment is over the lambdas above 0 of one protocol, data set and metric.
    """
    rows = []
    for _, runs in metrics.groupby(["protocol", "dataset"], sort=False):
        baseline = runs[runs["lambda"] == BASELINE]
        treated = runs[runs["lambda"] != BASELINE]
        if baseline.empty:
            continue  # a protocol without lambda 0 extends another and is compared with that one
        for metric in tables.METRICS:
            family = [
                _row(metric, cell, baseline, alpha, power)
                for _, cell in treated.groupby("lambda", sort=False)
            ]
            adjusted = statistics.holm(
                pd.Series([r["welch_p"] for r in family], dtype=float).to_numpy()
            )
            rows += [r | {"welch_p_holm": p} for r, p in zip(family, adjusted, strict=True)]
    return pd.DataFrame(rows, columns=list(tables.TESTS_TABLE.columns))


def _row(
    metric: str, cell: pd.DataFrame, baseline: pd.DataFrame, alpha: float, power: float
) -> dict[str, object]:
    treated_values, baseline_values = _values(cell, metric), _values(baseline, metric)
    shared = treated_values.index.intersection(baseline_values.index)
    pairs = (treated_values[shared].to_numpy(), baseline_values[shared].to_numpy())
    n, m = len(treated_values), len(baseline_values)
    return {
        **{name: cell[name].iloc[0] for name in tables.CELL},
        "metric": metric,
        "n": n,
        "n_baseline": m,
        "n_pairs": len(shared),
        "diverged": int((cell["status"] == tables.DIVERGED).sum()),
        "diverged_baseline": int((baseline["status"] == tables.DIVERGED).sum()),
        "detectable": statistics.detectable_effect(n, m, alpha, power),
        **statistics.compare(
            treated_values.to_numpy(), baseline_values.to_numpy(), pairs, alpha
        )._asdict(),
    }


def _values(runs: pd.DataFrame, metric: str) -> pd.Series:
    """A metric of the runs that did not diverge, indexed by seed."""
    finished = runs[runs["status"] != tables.DIVERGED]
    return finished.set_index("seed")[metric].dropna()


if __name__ == "__main__":
    command.run(main)
