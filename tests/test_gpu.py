"""A job has a GPU to itself, or none; what cannot be had is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flatreg import gpu
from flatreg.errors import mendable

CLAIM = """
import sys
from pathlib import Path
from flatreg.gpu import wait_for_one
print(wait_for_one(["GPU-a", "MIG-b/1/0"], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def claimant(folder: Path) -> subprocess.Popen[str]:
    """A process that claims one of two GPUs and keeps it until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_jobs_take_gpus_that_no_other_job_has(tmp_path: Path) -> None:
    jobs = [claimant(tmp_path) for _ in range(3)]
    try:
        first = [job.stdout.readline().strip() for job in jobs]
        waiting = first.index("waiting for one of 2 GPUs, which other jobs use")
        assert {*first} == {"GPU-a", "MIG-b/1/0", first[waiting]}
        ended = (waiting + 1) % 3
        jobs[ended].kill()
        assert jobs[waiting].stdout.readline().strip() == first[ended]
    finally:
        for job in jobs:
            job.kill()
            job.communicate()


@pytest.mark.parametrize(
    ("visible", "names"),
    [("0", ["0"]), ("2, 3", ["2", "3"]), ("", []), ("-1", []), ("GPU-1,MIG-2", ["GPU-1", "MIG-2"])],
)
def test_a_scheduler_or_user_says_which_gpus_there_are(
    visible: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpu.VISIBLE, visible)
    assert gpu.names_of_gpus() == names


def test_without_nvidia_smi_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.names_of_gpus() == []


TAKE = """
import sys
from flatreg import command, gpu
command.run(lambda: gpu.take(int(sys.argv[1])))
import jax
print(jax.devices()[0].platform)
"""


@pytest.mark.parametrize(
    ("gpus", "visible", "message"),
    [
        ("1", "", "error: this job asks for a GPU (its resource gpu is 1), and there is none"),
        ("1", "0", "error: JAX cannot use the GPU 0 ("),
        ("2", "0", "error: a job uses one GPU, not 2; write gpu=1"),
    ],
)
def test_a_gpu_that_cannot_be_had_is_one_line(gpus: str, visible: str, message: str) -> None:
    """The second case needs an environment without CUDA, as that of the tests is."""
    done = subprocess.run(
        [sys.executable, "-c", TAKE, gpus],
        env={gpu.VISIBLE: visible, "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_without_a_gpu_asked_for_jax_computes_on_the_cpu() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKE, "0"],
        env={gpu.VISIBLE: "0", "JAX_PLATFORMS": "cuda", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "cpu\n"


def test_a_gpu_that_fails_is_one_line() -> None:
    import jax

    error = jax.errors.JaxRuntimeError("INTERNAL: CUDA error: CUDA_ERROR_LAUNCH_FAILED\nmore")
    assert mendable(error) == (
        "the GPU failed (INTERNAL: CUDA error: CUDA_ERROR_LAUNCH_FAILED); check it and run again, "
        "checkpoints are kept"
    )
    assert mendable(jax.errors.JaxRuntimeError("INTERNAL: a bug")) is None
