"""A made-up study of one data set, two protocols and three lambdas, with all its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flatreg import config, tables
from flatreg.disk.files import write_json
from flatreg.paper import sources
from flatreg.tables import compare, summarize

LAMBDAS = ["0", "0.01", "1"]
PROTOCOLS = {"stated": range(3), "tuned": range(5)}
STUDY = {
    "protocols": {
        name: {
            "extends": None,
            "datasets": {
                "digits": {"lambdas": LAMBDAS, "seeds": list(seeds), "source": "digits"},
            },
        }
        for name, seeds in PROTOCOLS.items()
    },
    "analysis": {"alpha": 0.05, "power": 0.8},
    "paths": {"results": "results", "generated": "generated", "pdf": "paper/main.pdf"},
}
MANIFEST = {
    **{"source": "digits", "title": "Digits", "version": "1", "url": "doi:10.24432/C50P49"},
    **{"licence": "CC BY 4.0", "citation": "nobody", "classes": 10, "sha256": "0" * 64},
}
TABLES = {
    "metrics": tables.METRICS_TABLE,
    "summary": tables.SUMMARY_TABLE,
    "tests": tables.TESTS_TABLE,
    "times": tables.TIMES_TABLE,
    **sources.EVIDENCE,
}


def study_tables() -> dict[str, pd.DataFrame]:
    """Tables of a made-up study in which one run diverged."""
    random = np.random.default_rng(0)
    runs = pd.DataFrame(config.runs(STUDY), columns=tables.RUN)
    metrics = runs.reindex(columns=list(tables.METRICS_TABLE.columns))
    for name in tables.METRICS:
        metrics[name] = random.uniform(0.1, 0.9, len(runs))
    metrics["key"] = [f"{number:016x}" for number in range(len(runs))]
    metrics["status"], metrics["data_sha256"] = "completed", "0" * 64
    metrics[["epochs", "steps"]] = 10
    # The last run of tuned at lambda 1, which stopped before it had a value.
    metrics.loc[metrics.index[-1], ["status", *tables.METRICS]] = [
        "diverged",
        *[np.nan] * len(tables.METRICS),
    ]
    times = runs.reindex(columns=list(tables.TIMES_TABLE.columns)).assign(steps=10, resumed=0)
    times["train_seconds"] = random.uniform(1.0, 2.0, len(runs))
    claim = {"claim": "gain", "protocol": "stated"}
    tried = claim | {"verdict": "supported", "family": "primary", "registered": "yes"}
    correlation = {"protocol": "all", "dataset": "digits", "measure": "sharpness"}
    correlation |= {"target": "test_accuracy", "kind": "flatness"}
    check = {"check": "difference", "dataset": "digits", "lambda": "0.01", "against": "lambda 0"}
    check |= {"column": "test_accuracy", "images": 4.0}
    rescaled = {"protocol": "tuned", "dataset": "digits", "lambda": "0", "seed": 0}
    rescaled |= {"key": f"{9:016x}", "factor": 4.0, "measure": "tr_h2", "ratio": 95.5}
    variance = {"dataset": "digits", "metric": "test_loss", "source": "all", "protocol": "tuned"}
    measured = runs.assign(key=metrics["key"], measure="sharpness", value=metrics["tr_h2"])
    return {
        "metrics": metrics,
        "times": times,
        "summary": summarize.summarize(metrics, 0.05),
        "tests": compare.compare(metrics, 0.05, 0.8),
        "claims": _row("claims", tried | {"tail": "above", "p": 0.04, "n": 3}),
        "claim_runs": pd.DataFrame(
            [claim | {"side": "run", "key": f"{n:016x}"} for n in (0, 1)]
            + [{"claim": "loss", "protocol": "stated", "side": "run", "key": "5"}]
        ),
        "variance": _row("variance", variance | {"lambda": "1", "sd": 0.25, "n": 4}),
        "correlations": _row("correlations", correlation | {"tau": -0.5, "n": 23}),
        "flatness": measured.dropna(),
        "reparametrization": _row("reparametrization", rescaled),
        "overall": _row("overall", {"protocol": "tuned", "lambda": "0.01", "iqm": 0.5}),
        "test_sets": _row(
            "test_sets", {"protocol": "tuned", "dataset": "digits", "lambda": "0", "low": 0.25}
        ),
        "grim": _row("grim", {"dataset": "digits", "n_test": 200, "runs": 3, "fitting": 10}),
        "checks": pd.concat(
            [
                _row("checks", check | {"n_test": 200, "runs": 3}),
                _row("checks", {"check": "smallest", "dataset": "digits", "value": 600.0}),
            ]
        ),
        "false_outcomes": _row("false_outcomes", {"high": 0.03, "ok": "yes"}),
        "calibration": _row(
            "calibration", {"interval": "t: mean", "n": 3, "coverage": 0.94, "ok": "yes"}
        ),
    }


def _row(name: str, values: dict[str, Any]) -> pd.DataFrame:
    columns = TABLES[name].columns
    fillers = {"Int64": 0, "float64": np.nan}
    filled = {name: fillers.get(str(column.dtype), "words") for name, column in columns.items()}
    return pd.DataFrame([filled | values]).reindex(columns=list(columns))


def write_study(folder: Path) -> list[str]:
    """Write all files that the paper reads; return the flags that name them."""
    paths = {f"{name}.csv": frame for name, frame in study_tables().items()}
    flags = []
    for name, frame in paths.items():
        tables.write(folder / "tables" / name, frame, TABLES[Path(name).stem])
        flag = Path(name).stem.replace("_", "-")
        flags += [f"--{flag}", str(folder / "tables" / name)]
    original = {"results": {"digits": [{"lambda": "0", "test_accuracy": 0.5, "seconds": 2.0}]}}
    for flag, name, content in (
        ("config", "config.json", STUDY),
        ("manifests", "data/digits.json", MANIFEST),
        ("original", "original.json", original),
        ("bench", "bench.json", {"ways": [{"ratio": 3.25}]}),
        ("frontier", "frontier.json", {"ways": [{"spread": 0.024}]}),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        write_json(folder / name, content)
        flags += [f"--{flag}", str(folder / name)]
    return flags
