"""The commands that check the original's numbers, and their table and figures in the paper."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from flatreg import tables
from flatreg.figures import evidence
from flatreg.forensics import inspection
from flatreg.forensics.reported import Original
from flatreg.paper import audit, latex, provenance
from flatreg.paper.sources import Sources
from flatreg.paper.tables import forensics
from flatreg.tables.reported import CHECKS_TABLE, GRIM_DENOMINATORS_TABLE, GRIM_TABLE, TRIPLES_TABLE
from tests.forensics.helpers import manifest

# What else the command that writes a table asks for.
CITED = ("metrics", "summary", "tests", "times")


def _run(folder: Path, *command: str) -> None:
    subprocess.run([sys.executable, "-m", *command], check=True, cwd=folder)


@pytest.fixture(scope="module")
def made(
    root: Path, tmp_path_factory: pytest.TempPathFactory, manifests: dict[str, dict[str, Any]]
) -> Path:
    """A folder with the tables and the paper's table, written by the workflow's commands."""
    folder = tmp_path_factory.mktemp("forensics")
    for name, content in manifests.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    original = str(root / "paper/original.json")
    names = [f"{name}.json" for name in manifests]
    _run(
        folder,
        *("flatreg.forensics", "--original", original, "--manifests", *names, "--out", "."),
    )
    kept = root / "results/reference"
    cited = [f"--{name}={kept / f'{name}.csv'}" for name in CITED]
    _run(
        folder,
        *(
            "flatreg.paper.tables",
            "table_forensics",
            "--grim",
            "grim.csv",
            "--checks",
            "checks.csv",
        ),
        *("--original", original, "--config", str(kept / "config.json"), *cited),
        *("--bench", str(root / "bench/results/cost.json"), "--manifests", *names),
        *("--frontier", str(root / "bench/results/frontier.json")),
        *("--out", "table.tex"),
    )
    return folder


def test_the_commands_write_all_tables(made: Path) -> None:
    for name, schema in (
        ("grim", GRIM_TABLE),
        ("grim_denominators", GRIM_DENOMINATORS_TABLE),
        ("checks", CHECKS_TABLE),
        ("triples", TRIPLES_TABLE),
    ):
        assert len(tables.read(made / f"{name}.csv", schema))
    text = (made / "table.tex").read_text()
    assert r"0.01 & 0.2700 & 162 & +4 & +0.26 & 0.2783 & 167 & $-1$ & $-0.07$ & -- \\" in text
    assert "0.01 & 0.5859 & -- (200) & +10" in text
    assert "4 of 6 fit 3 runs on 114 examples (chance 0.0034)" in text
    assert text.count("constant, largest class") == 2


def test_each_number_of_the_paper_s_table_has_an_item(made: Path) -> None:
    items = provenance.read(made / "table.json")
    known = {number for item in items for number in audit.forms(item.printed)}
    body = (made / "table.tex").read_text().split(r"\midrule", 1)[1]
    body = re.sub(r"\\multicolumn\{10\}|\$\\lambda=0\$|CIFAR-100|20 Newsgroups", "", body)
    numbers = set(audit.numbers(latex.plain(body)))
    assert {"0.2800", "0.5859", "200", "0.26"} <= numbers
    assert numbers <= known
    assert len({item.id for item in items}) == len(items)
    place = "table_forensics/breast_cancer/0.01/test_accuracy/count/3/value"
    (count,) = [item for item in items if item.id == place]
    assert (count.value, count.files) == (200, ["checks.csv"])


def test_intervals_need_a_level(made: Path, root: Path) -> None:
    command = [sys.executable, "-m", "flatreg.forensics", "--alpha", "5"]
    command += ["--original", str(root / "paper/original.json"), "--manifests", "cifar100.json"]
    command += ["--out", "none"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--alpha 5.0 is not between 0 and 1" in done.stderr
    assert not (made / "none").exists()


def test_the_figure_names_the_most_surprising_denominator(scan: pd.DataFrame) -> None:
    checked = tables.check(scan, GRIM_DENOMINATORS_TABLE, "denominators")
    figure = evidence.draw_grim({}, checked)
    said = {axes.get_title(): axes.texts[0].get_text() for axes in figure.axes}
    plt.close(figure)
    assert said["CIFAR-100"] == "600: 10 of 10 fit"
    assert said["Breast Cancer"] == "99: 4 of 6 fit"


def test_of_a_study_without_these_data_sets_nothing_is_said(
    root: Path, original: Original, tmp_path: Path
) -> None:
    known = inspection.known_manifests(original, [manifest("digits", [1], [1])])
    assert known == {}
    found = inspection.inspect(original, known, alpha=0.05)
    for name, schema in (("grim", GRIM_TABLE), ("checks", CHECKS_TABLE)):
        tables.write(tmp_path / f"{name}.csv", getattr(found, name), schema)
    read = {
        "grim": tables.read(tmp_path / "grim.csv", GRIM_TABLE),
        "checks": tables.read(tmp_path / "checks.csv", CHECKS_TABLE),
    }
    nothing = Sources(*[None] * len(Sources._fields))
    paths = {"original": root / "paper/original.json"}
    done = forensics.table(nothing._replace(evidence=read, paths=paths))
    assert done.items == []
    assert done.text.endswith("\\end{tabular}\n")
