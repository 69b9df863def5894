"""Small studies of real data, made by the library's own commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from flatreg import config
from flatreg.config import Config
from flatreg.disk.files import write_json
from flatreg.disk.runs import run_dir
from flatreg.publish import archive
from tests.copies import ROOT

SCHEMA = ROOT / "workflow/schemas/config.schema.json"


def flatreg(stage: str, *flags: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the library."""
    command = [sys.executable, "-m", f"flatreg.{stage}", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def small_study(folder: Path, overlay: str) -> Path:
    """Prepare Breast Cancer in a folder, with the demo's config and an overlay (YAML)."""
    (folder / "overlay.yaml").write_text(overlay)
    files = [ROOT / "config.yaml", ROOT / "profiles/demo/study.yaml", folder / "overlay.yaml"]
    (folder / "config.json").write_text(json.dumps(config.read(files, SCHEMA)))
    result = flatreg(
        *["data.prepare", "--config", folder / "config.json", "--dataset", "breast_cancer"],
        *["--out", folder / "data.npz", "--manifest", folder / "data.json"],
    )
    assert result.returncode == 0, result.stderr
    return folder


def make_up(study: Config, folder: Path, *names: str) -> None:
    """Write what a finished study has in a folder, with made-up contents.

    Args:
        study: the completed config.
        folder: in which the study's paths are.
        names: of files of the results, besides those of each run and the pages.
    """
    results = folder / study["paths"]["results"]
    for name in (*names, *archive.PAGES):
        write(results / name, name)
    for run in config.runs(study):
        place = run_dir(results, *run)
        for name in (*archive.RUN_FILES, "params.npz", "last.npz"):
            write(place / name, f'{{"of": "{run}", "is": "{name}"}}')
        write(place / "facts.json", '{"commit": "0123456789abcdef"}')
    write(folder / study["paths"]["pdf"], "the paper")
    write_json(results / "config.json", study)


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
