"""The page on Adam: the claims tried under it, and its cells beside those of SGD."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flatreg.publish import readme


def cells(protocol: str, dataset: str, **means: float) -> list[dict[str, Any]]:
    """Rows of summary.csv, one for each metric, at lambda 0 and 1."""
    row = {"protocol": protocol, "dataset": dataset, "n": 10, "diverged": 0, "sd": 0.01}
    return [
        {**row, "metric": metric, "lambda": lam, "mean": mean + 0.1 * (lam == "1")}
        for metric, mean in means.items()
        for lam in ("0", "1")
    ]


def summary() -> pd.DataFrame:
    """SGD on two data sets and at a further lambda; Adam on one, decoupled without lambda 0."""
    known = {"last_test_accuracy": 0.5, "test_accuracy": 0.4, "last_tr_h2": 7.0}
    rows = cells("every_step", "cifar100", **known) + cells("every_step", "imdb_reviews", **known)
    rows += [row | {"lambda": "100"} for row in rows]
    rows += cells("adam", "cifar100", **known)
    decoupled = [
        row for row in cells("adam_decoupled", "cifar100", **known) if row["lambda"] == "1"
    ]
    return pd.DataFrame(rows + [row | {"n": 8, "diverged": 2} for row in decoupled])


def claim(name: str, protocol: str) -> dict[str, Any]:
    row = {"claim": name, "protocol": protocol, "statement": f"{name}.", "verdict": "reversed"}
    row |= {"registered": "yes", "settles": None, "comparison": "lambda 1 to lambda 0", "n": 10}
    return row | {"estimate": 1.5, "low": 1.25, "high": 2.0, "unit": "ratio", "test": "paired"}


def test_adam_stands_beside_sgd_below_its_claims() -> None:
    ledger = pd.DataFrame(
        [claim("alike", "adam"), claim("gain", "literal"), claim("flattens", "adam_decoupled")]
    )
    claims, accuracy, flatness = readme.under_adam(ledger, summary()).split("\n**CIFAR-100: ")
    found = "lambda 1 to lambda 0: 1.50 times [1.25, 2.00]"
    assert claims.splitlines()[2:] == [
        f"| alike. | `adam` | {found} | **reversed** |",
        f"| flattens. | `adam_decoupled` | {found} | **reversed** |",
    ]
    assert accuracy.splitlines() == [
        "test accuracy after the last epoch**",
        "",
        "| λ | SGD, 10 seeds | Adam, 10 seeds | Adam, decoupled, 10 seeds |",
        "| --- | --- | --- | --- |",
        "| 0 | 0.5000 ± 0.0100 | 0.5000 ± 0.0100 |  |",
        "| 1 | 0.6000 ± 0.0100 | 0.6000 ± 0.0100 | 0.6000 ± 0.0100 †2 |",
    ]
    assert flatness.startswith("tr(H²) after the last epoch")
    assert "7.1 ± 0.01 †2" in flatness
    assert "IMDB" not in claims + accuracy + flatness
