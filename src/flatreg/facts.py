"""The facts of a run's making: what ran, on what, from which commit."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "matfree", "numpy", "scipy")
VECTOR_INSTRUCTIONS = ("amx", "asimd", "avx", "f16c", "fma", "sse", "sve")


def making() -> dict[str, Any]:
    """What, beside its settings, decides how a training goes on: the code and its libraries."""
    return {"code": _code_sha256(), "python": platform.python_version(), "packages": _versions()}


def describe() -> dict[str, Any]:
    """Versions, platform, processor and commit, as they are now."""
    commit, dirty = _commit()
    return {
        "command": [Path(sys.executable).name, *sys.orig_argv[1:]],
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": _versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "processor_features": processor_features(),
        "cores": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE", ""),
    }


def processor_features() -> list[str]:
    """The vector instructions that decide how compiled sums round; none where unknown."""
    words = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return sorted(word for word in words if word.startswith(VECTOR_INSTRUCTIONS))


def processor_key() -> str:
    """A name for the kind of processor: programs compiled for one may not run on another."""
    kind = [platform.machine(), _processor(), *processor_features()]
    return hashlib.sha256(" ".join(kind).encode()).hexdigest()[:12]


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def _code_sha256() -> str:
    """SHA-256 of the library's modules."""
    total = hashlib.sha256()
    home = Path(__file__).parent
    for path in sorted(home.rglob("*.py")):
        total.update(f"{path.relative_to(home)} ".encode() + path.read_bytes())
    return total.hexdigest()


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
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(field: str) -> str:
    """A field of Linux's first processor, empty where there is none."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""
