"""The commands measure and rescaling, on runs of Breast Cancer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flatreg import tables
from flatreg.measure.rescaling import FACTORS
from flatreg.tables.evidence import REPARAMETRIZATION_TABLE
from tests.studies import flatreg, small_study

OVERLAY = """
protocols: {stated: {datasets: {breast_cancer: {epochs: 2, inputs: standardized}}}}
"""
RUN = "runs/stated/breast_cancer/lambda-0.01/seed-0"
UNCHANGED = ("loss", "asam_", "relative_flatness", "fisher_rao_norm")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's completed config, Breast Cancer and one run."""
    folder = small_study(tmp_path_factory.mktemp("study"), OVERLAY)
    done = flatreg(
        *["train", "--config", folder / "config.json", "--runs", folder / RUN / "metrics.json"],
        *["--data", folder / "data.npz", "--checkpoints", folder / "checkpoints"],
        *["--checkpoint-every", 2, "--threads", 1, "--compiled", folder / "compiled"],
    )
    assert done.returncode == 0, done.stderr
    return folder


def flags(study: Path, name: str, run: Path) -> list[object]:
    return [
        *["--config", study / "config.json", name, run, "--data", study / "data.npz"],
        *["--threads", 1, "--compiled", study / "compiled"],
    ]


@pytest.mark.slow
def test_what_a_rescaling_changes_and_what_not(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "reparametrization.csv"
    done = flatreg("measure.rescaling", *flags(study, "--run", study / RUN), "--out", out)
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
def test_a_measure_for_each_radius_and_no_measure_of_what_was_changed(
    study: Path, tmp_path: Path
) -> None:
    done = flatreg("measure", *flags(study, "--runs", study / RUN / "metrics.json"))
    assert done.returncode == 0, done.stderr
    measures = json.loads((study / RUN / "flatness.json").read_text())["measures"]
    settings = json.loads((study / "config.json").read_text())["measure"]
    radii = len(settings["sharpness_radii"]) + len(settings["adaptive_radii"])
    assert len(measures) == radii + 2
    assert all(value > 0 for value in measures.values())
    changed = tmp_path / "metrics.json"
    record = json.loads((study / RUN / "metrics.json").read_text())
    changed.write_text(json.dumps(record | {"test_accuracy": 1.0}))
    refused = flatreg("measure", *flags(study, "--runs", changed))
    assert refused.returncode == 2
    assert str(changed) in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "flatness.json").exists()
