"""What it takes to add one of each: a file of its own, and a row where there is a registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.copies import GENERATED, ROOT, WORKFLOW, copy_parts

pytestmark = pytest.mark.slow

REFERENCE = ROOT / "results/reference"

NEW_FILES = {
    "data/sources/wine.py": '''
"""Wine recognition, which ships inside scikit-learn."""

import numpy as np
from sklearn.datasets import load_wine

from flatreg.data.prepared import About, of_table
from flatreg.data.standard_split import stratified

READINGS = ()
STANDARD_SPLIT = False


def cache():
    return None


def read(settings):
    x, y = load_wine(return_X_y=True)
    about = About("wine", "Wine", "1", "none", "none", "none", ("a", "b", "c"), None)
    return of_table(about, stratified(x.astype(np.float32), y, settings))
''',
    "models/bottleneck.py": '''
"""A narrow linear layer before the logits."""

import flax.linen as nn

FIELDS = {"width": {"description": "Width of the layer.", "type": "integer", "minimum": 1}}


class Bottleneck(nn.Module):
    width: int
    outputs: int

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(self.outputs)(nn.Dense(self.width)(x))
''',
    "figures/seeds.py": '''
"""How many seeds each cell has."""

import matplotlib.pyplot as plt


def draw_seeds(study, metrics):
    figure, axes = plt.subplots()
    axes.plot(metrics.groupby(["dataset", "lambda"], sort=False).size().to_numpy())
    return figure
''',
    "evidence/endings.py": '''
"""How the runs of each protocol ended."""

import pandas as pd


def count_endings(study, metrics):
    rows = metrics.groupby(["protocol", "status"], sort=False).size().reset_index(name="n")
    return (pd.DataFrame(rows),)
''',
}
NEW_ROWS = {
    "figures/registry.py": """
FIGURES["seeds"] = Row(
    function="seeds.draw_seeds",
    inputs=("metrics",),
    protocols="main",
    settings=(),
    category="Results",
    label="seeds",
    caption="How many seeds each cell has.",
)
""",
    "tables/registry.py": """
    "endings": Row(
        rule="count_endings",
        function="endings.count_endings",
        inputs=("metrics",),
        tables={
            "endings": Table(
                table(
                    {"protocol": text("protocol"), "status": text("status"), "n": count("runs")}
                ),
                "endings",
                "How the runs of each protocol ended.",
            )
        },
        settings=(),
    ),
""",
}
STUDY = {
    "surface": {"protocol": "stated", "lambda": "0.1", "seed": 0},
    "claims": None,
    "estimates": None,
    "sample_sizes": None,
    "verify": {"runs": []},
    "protocols": {
        "stated": {
            "lambdas": ["0", "0.1"],
            "seeds": [0],
            "datasets": {
                **dict.fromkeys(["cifar100", "newsgroups20", "imdb_reviews", "breast_cancer"]),
                "wine": {
                    "model": {"name": "bottleneck", "width": 3},
                    **{"inputs": "standardized", "batch": 16, "epochs": 2},
                    **{"learning_rate": 0.01, "weight_decay": 0},
                },
            },
        }
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one of each added, and a study of the new data and model."""
    folder = tmp_path_factory.mktemp("additions")
    copy_parts(folder, WORKFLOW, *GENERATED)
    library = folder / "src/flatreg"
    for name, text in NEW_FILES.items():
        assert not (library / name).exists()
        (library / name).write_text(text.lstrip("\n"), encoding="utf-8")
    figures = library / "figures/registry.py"
    figures.write_text(figures.read_text("utf-8") + NEW_ROWS["figures/registry.py"], "utf-8")
    tables = library / "tables/registry.py"
    begin = "\nROWS = {\n"
    text = tables.read_text("utf-8")
    assert text.count(begin) == 1
    text = text.replace(begin, begin + NEW_ROWS["tables/registry.py"].lstrip("\n"))
    kinds = "from flatreg.tables.schema import count, read, table, text\n"
    text = text.replace("from flatreg.tables.schema import read\n", kinds)
    tables.write_text(text, "utf-8")
    others = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))["protocols"]
    study = STUDY | {"protocols": dict.fromkeys(others) | STUDY["protocols"]}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return folder


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(folder: Path, *words: object) -> str:
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def complete(folder: Path, overlay: str, out: str) -> subprocess.CompletedProcess[str]:
    files = ["config.yaml", overlay, "--schema", "workflow/schemas/config.schema.json"]
    return run(folder, "flatreg.config", *files, "--out", out)


def test_a_data_set_and_a_model_are_a_file_each(project: Path) -> None:
    """Named in the config, they are prepared, trained and measured as any other."""
    done = complete(project, "study.yaml", "config.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((project / "config.json").read_text())["data"]["wine"]["split_seed"] == 0
    prepared = ["--dataset", "wine", "--out", "wine.npz", "--manifest", "wine.json"]
    succeed(project, "flatreg.data.prepare", "--config", "config.json", *prepared)
    assert json.loads((project / "wine.json").read_text())["splits"]["test"]["examples"] == 36
    shared = ["--config", "config.json", "--data", "wine.npz", "--threads", "1"]
    run = Path("runs/stated/wine/lambda-0.1/seed-0")
    kept = ["--checkpoints", "checkpoints", "--checkpoint-every", "5"]
    succeed(project, "flatreg.train", *shared, "--runs", run / "metrics.json", *kept)
    record = json.loads((project / run / "metrics.json").read_text())
    assert (record["status"], record["estimator"]) == ("completed", "gram")
    succeed(project, "flatreg.measure", *shared, "--runs", run / "metrics.json")
    assert (project / run / "curvature.json").exists()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("model", {"name": "bottlenec", "width": 3}, 'known are "bottleneck"'),
        ("model", {"name": "bottleneck", "wdth": 3}, "did you mean width?"),
        ("source", "wien", 'did you mean "wine"?'),
        ("reading", "whole", "only texts have a reading"),
    ],
)
def test_messages_know_them(project: Path, place: str, value: object, words: str) -> None:
    study = yaml.safe_load((project / "study.yaml").read_text("utf-8"))
    study["protocols"]["stated"]["datasets"]["wine"][place] = value
    (project / "mistake.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    done = complete(project, "mistake.yaml", "mistake.json")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_a_figure_is_a_file_and_a_row(project: Path) -> None:
    inputs = ["--config", REFERENCE / "config.json", "--metrics", REFERENCE / "metrics.csv"]
    succeed(project, "flatreg.figures", "seeds", *inputs, "--out", "seeds.pdf")
    assert (project / "seeds.svg").exists()


def test_an_evidence_table_is_a_file_and_a_row(project: Path) -> None:
    inputs = ["--config", REFERENCE / "config.json", "--metrics", REFERENCE / "metrics.csv"]
    succeed(project, "flatreg.evidence", "endings", *inputs, "--out", ".")
    assert (project / "endings.csv").read_text().startswith("protocol,status,n\nstated,")


def test_the_workflow_plans_them(project: Path) -> None:
    planned = succeed(
        *(project, "snakemake", "-n", "--cores", "1", "--workflow-profile", "none"),
        *("--configfile", "study.yaml"),
    )
    for output in (
        "results/data/wine.npz",
        "results/figures/seeds.svg",
        "results/tables/endings.csv",
        "results/runs/stated/wine/lambda-0.1/seed-0/metrics.json",
    ):
        assert output in planned, output
