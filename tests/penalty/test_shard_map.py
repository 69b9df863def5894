"""`jax.shard_map` and sharded batches, on four devices of a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .sharded import CASES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcome() -> subprocess.CompletedProcess[str]:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-m", "tests.penalty.sharded"],
        env=os.environ | flags,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", [case.__name__ for case in CASES])
def test_on_four_devices(case: str, outcome: subprocess.CompletedProcess[str]) -> None:
    assert f"passed {case}" in outcome.stdout, outcome.stdout + outcome.stderr
