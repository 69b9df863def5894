"""The facts of a run's making: what ran, on what, from which commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "matfree", "numpy", "scipy")


def describe() -> dict[str, Any]:
    """Versions, platform, processor and commit, as they are now."""
    commit, dirty = _commit()
    return {
        "command": [Path(sys.executable).name, *sys.orig_argv[1:]],
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _commit() -> tuple[str | None, bool | None]:
    """The commit of the code that runs and whether files differ from it; None outside git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    return commit, _git("status", "--porcelain", "--untracked-files=no") != ""


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
