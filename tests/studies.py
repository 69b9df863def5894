"""Small studies of real data, made by the library's own commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from flatreg import config
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
