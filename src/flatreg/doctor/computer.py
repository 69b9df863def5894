"""The computer: system, processor, memory and GPU."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from importlib import metadata

import psutil

from flatreg import gpu, processor
from flatreg.doctor.finding import Finding

# What the largest job of the study asks for (MB); see the rules' mem_mb.
NEEDED_MB = 2500


def findings() -> Iterator[Finding]:
    """What the computer is, and whether the study's jobs fit."""
    yield Finding("system", platform.platform())
    yield Finding("processor", f"{processor.name()} ({_cores()} of {os.cpu_count()} cores)")
    yield _vectors()
    yield _memory()
    yield _gpu()


def _cores() -> int:
    """Cores that this process may use: a scheduler or container may allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _vectors() -> Finding:
    features = processor.features()
    if not features:
        return Finding("vectors", "unknown; results agree with the reference within its tolerance")
    found = "AVX2" if "avx2" in features else "no AVX2: rounds otherwise than the reference"
    return Finding("vectors", found)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    free, total = memory.available // 2**20, memory.total // 2**20
    found = f"{free} of {total} MiB are free"
    if free < NEEDED_MB:
        return Finding("memory", found, f"a job takes up to {NEEDED_MB} MB; end other programs")
    return Finding("memory", found)


def _gpu() -> Finding:
    names = gpu.names_of_gpus()
    if not names:
        return Finding("GPU", "none; none is needed")
    plugin = any(name.startswith("jax-cuda") for name in _distributions())
    if not plugin:
        return Finding("GPU", f"{_models()}, unused: this environment is for CPUs")
    return Finding("GPU", f"{_models()}, for profiles/gpu-local")


def _distributions() -> list[str]:
    return [str(package.name) for package in metadata.distributions()]


def _models() -> str:
    words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "named by CUDA_VISIBLE_DEVICES, but nvidia-smi does not answer"
    return ", ".join(done.stdout.splitlines())
