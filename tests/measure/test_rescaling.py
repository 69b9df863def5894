"""The commands flatness and rescaling, on runs of Breast Cancer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flatreg import tables
from flatreg.evidence import generalization
from flatreg.measure.rescaling import FACTORS
from flatreg.tables.evidence import REPARAMETRIZATION_TABLE
from tests.studies import flatreg, small_study

OVERLAY = """
protocols: {stated: {datasets: {breast_cancer: {epochs: 2, inputs: standardized}}}}
"""
UNCHANGED = ("loss", "asam_", "relative_flatness", "fisher_rao_norm")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's completed config, Breast Cancer and one run."""
    folder = small_study(tmp_path_factory.mktemp("study"), OVERLAY)
    done = flatreg(
        *["train", "--config", folder / "config.json", "--protocol", "stated"],
        *["--dataset", "breast_cancer", "--lambda", "0.01", "--seed", 0],
        *["--data", folder / "data.npz", "--checkpoints", folder / "checkpoints"],
        *["--checkpoint-every", 2, "--threads", 1, "--compiled", folder / "compiled"],
        *["--out", folder / "run"],
    )
    assert done.returncode == 0, done.stderr
    return folder


def flags(study: Path, run: Path, name: str, out: Path) -> list[object]:
    return [
        *["--config", study / "config.json", name, run, "--data", study / "data.npz"],
        *["--threads", 1, "--compiled", study / "compiled", "--out", out],
    ]


@pytest.mark.slow
def test_what_a_rescaling_changes_and_what_not(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "reparametrization.csv"
    done = flatreg("measure.rescaling", *flags(study, study / "run", "--run", out))
    assert done.returncode == 0, done.stderr
    table = tables.read(out, REPARAMETRIZATION_TABLE)
    assert sorted(table["factor"].unique()) == sorted(FACTORS)
    for name, rows in table.groupby("measure"):
        ratios = rows["ratio"].to_numpy()
        if name.startswith(UNCHANGED):
            # Sharpness is a difference of losses in single precision.
            np.testing.assert_allclose(ratios, 1, rtol=1e-3, err_msg=name)
        else:
            assert np.abs(ratios - 1).max() > 0.1, name


@pytest.mark.slow
def test_flatness_has_a_row_a_measure_and_refuses_what_was_changed(
    study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cell.json"
    done = flatreg("measure.flatness", *flags(study, study / "run", "--runs", out))
    assert done.returncode == 0, done.stderr
    table = generalization.read_cells([out])
    settings = json.loads((study / "config.json").read_text())["measure"]
    radii = len(settings["sharpness_radii"]) + len(settings["adaptive_radii"])
    assert len(table) == radii + 2
    assert (table["value"] > 0).all()
    changed = tmp_path / "changed"
    changed.mkdir()
    record = json.loads((study / "run/metrics.json").read_text())
    (changed / "metrics.json").write_text(json.dumps(record | {"test_accuracy": 1.0}))
    refused = flatreg("measure.flatness", *flags(study, changed, "--runs", tmp_path / "none.json"))
    assert refused.returncode == 2
    assert str(changed / "metrics.json") in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "none.json").exists()
