"""Copies of the demo to inject faults into, and disks that can be full or read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.demo import PDF, RESULTS, ROOT, Demo, copy_demo

SEED = 20261125


@pytest.fixture(scope="session", autouse=True)
def _finished_demo() -> None:
    if not (ROOT / PDF).exists():
        pytest.fail("these tests copy the finished demo; run `make demo` first")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A copy of the finished demo."""
    yield copy_demo(tmp_path / "demo")
    shutil.rmtree(tmp_path / "demo", ignore_errors=True)


@pytest.fixture
def moment(request: pytest.FixtureRequest) -> np.random.Generator:
    """One generator per injection, the same in every session."""
    return np.random.default_rng([SEED, *request.node.name.encode()])


@pytest.fixture
def small_disk(demo: Demo) -> Iterator[Callable[..., Path]]:
    """A function that moves a folder of the demo to a small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted: list[Path] = []

    def mount(folder: Path = RESULTS, megabytes: int = 64) -> Path:
        place, aside = demo.folder / folder, demo.folder / "aside"
        place.mkdir(parents=True, exist_ok=True)
        place.rename(aside)
        place.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]
        if subprocess.run(["mount", *options, place]).returncode:
            pytest.skip("this machine does not let root mount a small disk")
        mounted.append(place)
        shutil.copytree(aside, place, dirs_exist_ok=True)
        shutil.rmtree(aside)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)
