"""Copies of the project to run or to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Files and folders that the workflow needs.
WORKFLOW = [
    *("Snakefile", "config.yaml", "claims.yaml", "docs/questions.yaml", "CITATION.cff"),
    *("workflow", "profiles", "src", "envs", "paper", "bench"),
]
# Patterns of files that it generates among these.
GENERATED = ("generated", "main.pdf*")


def copy_parts(folder: Path, parts: list[str] = WORKFLOW, *left_out: str) -> None:
    """Copy files and folders of the project with their times, except for some patterns."""
    for part in parts:
        source, target = ROOT / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *left_out))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
