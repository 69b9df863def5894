"""The GPU of a job, which no other job of this user has at the same time, or none.

A job must choose before JAX starts its devices, because JAX takes most of the memory of every GPU
that it sees. Planning imports this module, so JAX is imported where it is used.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from flatreg.disk import locks
from flatreg.errors import UserError

# CUDA's list of the GPUs that a process sees; schedulers set it for their jobs.
VISIBLE = "CUDA_VISIBLE_DEVICES"
# What it names if there is no GPU for the process.
NONE = ("", "-1", "NoDevFiles")
# Lists the GPUs of this machine, or those that a scheduler allows to this job.
LIST = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")


def take(gpus: int) -> None:
    """Compute on the CPU, or on a GPU that no other job has; wait until one is free.

    Args:
        gpus: 0 or 1.

    Raises:
        UserError: more are asked for, this machine has none, or JAX cannot use it.
    """
    import jax

    if gpus == 0:
        jax.config.update("jax_platforms", "cpu")
        return
    if gpus > 1:
        raise UserError(f"a job uses one GPU, not {gpus}; write gpu=1, and run more jobs at once")
    os.environ[VISIBLE] = claim()
    jax.config.update("jax_platforms", "cuda,cpu")
    try:
        jax.devices("cuda")
    except RuntimeError as error:
        raise UserError(
            f"JAX cannot use the GPU {os.environ[VISIBLE]} ({error}); work in an environment from "
            "envs/requirements-cuda.txt, or with a profile for CPUs, such as profiles/default"
        ) from error


def claim() -> str:
    """The GPU of this job, as `CUDA_VISIBLE_DEVICES` names it.

    Raises:
        UserError: this machine has none.
    """
    names = names_of_gpus()
    if not names:
        raise UserError(
            "this job asks for a GPU (its resource gpu is 1), and there is none here; run it where "
            "nvidia-smi lists one, or with a profile for CPUs, such as profiles/default"
        )
    if VISIBLE in os.environ and len(names) == 1:
        return names[0]  # a scheduler gave this one to this job
    return wait_for_one(names, Path(tempfile.gettempdir()) / f"flatreg-gpus-{os.getuid()}")


def names_of_gpus() -> list[str]:
    """The GPUs that this job may use."""
    if VISIBLE in os.environ:
        names = [name.strip() for name in os.environ[VISIBLE].split(",")]
        return [name for name in names if name not in NONE]
    try:
        return subprocess.run(LIST, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def wait_for_one(names: list[str], folder: Path) -> str:
    """Claim a GPU until this process ends, as soon as one is free.

    Args:
        names: of the GPUs.
        folder: of their locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if free := _claimed(names, folder):
        return free
    print(f"waiting for one of {len(names)} GPUs, which other jobs use", flush=True)
    while not (free := _claimed(names, folder)):
        time.sleep(1)
    return free


def _claimed(names: list[str], folder: Path) -> str | None:
    """The first free GPU, which is claimed now; None if all are in use."""
    for name in names:
        # Not closed: the lock ends with the process.
        lock = os.open(folder / f"{name.replace('/', '_')}.lock", os.O_RDWR | os.O_CREAT)
        if locks.try_lock(lock):
            return name
        os.close(lock)
    return None
