"""The README: its result tables come from a summary, its links are true."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import pytest

from flatreg import tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.publish import readme, stages
from flatreg.tables.evidence import CLAIMS_TABLE

BEGIN, END = readme.markers("results")


def cell(lam: str, metric: str, n: int, diverged: int, mean: float, sd: float) -> dict:
    """Return a row of summary.csv."""
    row = {"protocol": "stated", "dataset": "breast_cancer", "lambda": lam, "metric": metric}
    row |= {"n": n, "diverged": diverged, "mean": mean, "sd": sd, "note": ""}
    return row | dict.fromkeys(["low", "high", "minimum", "maximum"], mean)


NONE = float("nan")


@pytest.fixture
def summary() -> pd.DataFrame:
    rows = [
        cell("0", "test_accuracy", 3, 0, 0.91234567, 0.0123),
        cell("0", "tr_h2", 3, 0, 0.0123456, 0.00345),
        cell("1", "test_accuracy", 1, 2, 0.5, NONE),
        cell("1", "tr_h2", 1, 2, 24280.0, NONE),
        cell("0.1", "test_accuracy", 0, 3, NONE, NONE),
        cell("0.1", "tr_h2", 0, 3, NONE, NONE),
    ]
    rows.append(rows[0] | {"protocol": "tuned", "dataset": "their_own", "n": 5})
    rows.append(rows[1] | {"protocol": "tuned", "dataset": "their_own", "n": 5})
    frame = pd.DataFrame(rows)[list(tables.SUMMARY_TABLE.columns)]
    return tables.check(frame, tables.SUMMARY_TABLE, "test")


def test_a_table_shows_every_cell_with_what_diverged(summary):
    accuracy, flatness = readme.results(summary).split("\n\n**")
    assert accuracy.splitlines() == [
        "**Test accuracy (share of test examples right)**",
        "",
        "| protocol | data set | seeds | λ = 0 | λ = 0.1 | λ = 1 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| stated | Breast Cancer | 3 | 0.9123 ± 0.0123 | †3 | 0.5000 †2 |",
        "| tuned | their own | 5 | 0.9123 ± 0.0123 |  |  |",
    ]
    assert "| stated | Breast Cancer | 3 | 0.0123 ± 0.0034 | †3 | 2.43e+04 †2 |" in flatness


def test_only_what_stands_between_the_markers_changes(summary):
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = readme.with_block(text, "results", readme.results(summary))
    assert once.startswith(f"before\n{BEGIN}\n\n**Test accuracy")
    assert once.endswith(f"|\n\n{END}\nafter\n")
    assert "old" not in once
    assert readme.with_block(once, "results", readme.results(summary)) == once


@pytest.mark.parametrize("lost", [BEGIN, END])
def test_a_lost_marker_is_one_line(lost):
    text = f"{BEGIN}\n{END}\n".replace(lost, "")
    with pytest.raises(UserError, match=re.escape(lost)):
        readme.with_block(text, "results", "")


def test_the_cost_has_a_row_a_way_and_a_column_a_network():
    def network(**ratios):
        ways = {way: {"ratio": r, "ratio_interval": (9 + r) / 10} for way, r in ratios.items()}
        return {"ways": ways, "working_bytes": {"gram": 12_300_000}}

    facts = {"processor": "A chip", "threads": 2, "commit": "0123456789abcdef"}
    facts["packages"] = {"jax": "1", "optax": "2", "matfree": "3"}
    networks = {"cifar100": network(plain=1.0, gram=3.7), "imdb_reviews": network(exact=1.5)}
    assert readme.cost({"facts": facts, "networks": networks}).splitlines() == [
        "|  | CIFAR-100 | IMDB | working memory, CIFAR-100 |",
        "| --- | --- | --- | --- |",
        "| gram | 3.70 / 1.27 |  | 12 MB |",
        "| exact |  | 1.50 / 1.05 |  |",
        "",
        "A chip, 2 threads, jax 1, optax 2, matfree 3; commit 0123456789.",
    ]


@pytest.mark.slow
def test_the_command_writes_the_file(summary, tmp_path):
    tables.write(tmp_path / "summary.csv", summary, tables.SUMMARY_TABLE)
    target = tmp_path / "README.md"
    target.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    files = ["--summary", str(tmp_path / "summary.csv"), "--readme", str(target)]
    subprocess.run(
        [sys.executable, "-m", "flatreg.publish.readme", *files], check=True, timeout=120
    )
    assert readme.results(summary) in target.read_text(encoding="utf-8")


def test_every_relative_link_leads_somewhere(root):
    for name in ["README.md", "CONTRIBUTING.md"]:
        text = (root / name).read_text(encoding="utf-8")
        links = re.findall(r"(?:\]\(|src=\")([^)\"#:]+)[)\"]", text)
        assert links, name
        lost = [link for link in links if not (root / link).exists()]
        assert not lost, name


def test_every_target_it_names_is_one_of_make(root):
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M)
    for name in ["README.md", "CONTRIBUTING.md"]:
        text = (root / name).read_text(encoding="utf-8")
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M))
        assert named
        assert named <= set(targets), name


@pytest.mark.parametrize(
    ("page", "reference", "protocols"),
    [
        ("README.md", "results/reference/summary.csv", ["stated", "tuned"]),
        ("docs/penalty-under-adam.md", "results/reference/adam/summary.csv", None),
    ],
)
def test_a_page_shows_the_reference(root, page, reference, protocols):
    summary = tables.read(root / reference, tables.SUMMARY_TABLE)
    text = (root / page).read_text(encoding="utf-8")
    shown = readme.results(readme.of_protocols(summary, protocols))
    assert readme.with_block(text, "results", shown) == text


def test_the_readme_shows_the_ledger(root):
    ledger = tables.read(root / "results/reference/claims.csv", CLAIMS_TABLE)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "claims", readme.claims(ledger)) == text


def test_the_readme_shows_the_times(root):
    times = tables.read(root / "results/reference/stages.csv", stages.TABLE)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "stages", stages.markdown(times)) == text


def test_the_readme_shows_the_bench(root):
    bench = read_json(root / "bench/results/cost.json")
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "cost", readme.cost(bench)) == text


def claim(name: str, protocol: str, verdict: str, low: float = NONE) -> dict:
    """Return what the README shows of a row of claims.csv."""
    row = {"claim": name, "protocol": protocol, "statement": f"It says {name}.", "verdict": verdict}
    return row | {"comparison": "lambda 1 to 0", "estimate": 0.12345, "low": low, "high": 1.0}


def test_the_ledger_shows_each_claim_by_the_protocol_that_decides():
    ledger = pd.DataFrame(
        [
            claim("a", "tuned", "supported", low=0.01),
            claim("a", "stated", "contradicted"),
            claim("b", "stated", "undetermined"),
        ]
    )
    assert readme.claims(ledger).splitlines() == [
        "2 claims: 1 supported, 1 undetermined.",
        "",
        "| the original says | we find [95 % interval] | verdict |",
        "| --- | --- | --- |",
        "| It says a. | lambda 1 to 0: 0.123 [0.01, 1] | **supported** |",
        "| It says b. | lambda 1 to 0: 0.123 | **undetermined** |",
    ]


def test_only_the_named_protocols_are_shown(summary):
    assert set(readme.of_protocols(summary, ["tuned"])["protocol"]) == {"tuned"}
    assert len(readme.of_protocols(summary, None)) == len(summary)
    with pytest.raises(UserError, match="--protocols other: the summary has stated, tuned"):
        readme.of_protocols(summary, ["other"])
