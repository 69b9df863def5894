"""The programs that the study calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from flatreg import code
from flatreg.doctor.finding import Finding

PAPER = code.LIBRARY.parents[1] / "paper/main.tex"
PACKAGES = re.compile(r"^\\usepackage(?:\[[^]]*\])?\{([^}]*)\}", re.MULTILINE)


def findings() -> Iterator[Finding]:
    """Whether each program is there, and which version."""
    yield _program("bash", "install Bash; the rules' commands need it")
    yield _program("git", "install git, or results cannot name the commit that made them")
    yield _program("snakemake", "make, then work with .venv/bin on PATH")
    yield _latex()


def _program(name: str, remedy: str) -> Finding:
    if shutil.which(name) is None:
        return Finding(name, "missing", remedy)
    return Finding(name, version(name))


def version(name: str) -> str:
    """The first line that a program prints about its version, or why it prints none."""
    try:
        done = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not start ({error})"
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[0].strip() if lines else f"says nothing, exit code {done.returncode}"


def _latex() -> Finding:
    if shutil.which("latexmk") is None or shutil.which("kpsewhich") is None:
        return Finding("LaTeX", "missing", "make tex; tables and figures need none")
    if missing := missing_packages():
        return Finding("LaTeX", f"lacks {', '.join(missing)}", "make tex")
    return Finding("LaTeX", version("pdflatex"))


def missing_packages() -> list[str]:
    """The packages of the paper that LaTeX cannot find."""
    if not PAPER.exists():
        return []
    named = PACKAGES.findall(PAPER.read_text(encoding="utf-8"))
    files = [f"{package.strip()}.sty" for names in named for package in names.split(",")]
    done = subprocess.run(["kpsewhich", *files], capture_output=True, text=True, check=False)
    found = {Path(line).name for line in done.stdout.splitlines()}
    return [file for file in files if file not in found]
