"""The benchmarks' commands start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.copies import ROOT

BENCHES = sorted(
    path.stem
    for path in (ROOT / "bench").glob("*.py")
    if "command.run(main)" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("bench", BENCHES)
def test_a_benchmark_tells_how_it_is_used(bench: str) -> None:
    command = [sys.executable, "-m", f"bench.{bench}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m bench.{bench}" in done.stdout
