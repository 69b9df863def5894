"""What is left out of the environment, against JAX's own list of its variables."""

from __future__ import annotations

import subprocess
import sys

import jax
import pytest

from flatreg import processor, surroundings

# What the tests' own environment may hold.
PLAIN = {"HOME": "/home/a", "PATH": "/bin", "LANG": "C", "CUDA_VISIBLE_DEVICES": "1"}
KERNELS = {"OPENBLAS_CORETYPE": "Haswell"} if "avx2" in processor.features() else {}


def test_all_that_jax_reads_is_left_out_or_known_to_be_harmless() -> None:
    variables = [name.upper() for name in jax.config.values]
    assert len(variables) > 100
    kept = set(surroundings.held(dict.fromkeys(variables, "1"))) - set(KERNELS)
    assert kept == {name for name in variables if name.startswith(surroundings.HARMLESS)}
    assert kept < {name for name in variables if "LOG" in name or "TRACE" in name or "EXP" in name}


def test_other_variables_stay() -> None:
    assert surroundings.held(PLAIN) == PLAIN | KERNELS
    assert surroundings.left_out(PLAIN | KERNELS) == []


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ("--xla_cpu_enable_fast_math=true", None),
        ("--xla_dump_to=/tmp/a --xla_cpu_enable_fast_math=true", "--xla_dump_to=/tmp/a"),
        ("--xla_gpu_cuda_data_dir=/cuda", "--xla_gpu_cuda_data_dir=/cuda"),
    ],
)
def test_flags_that_change_no_number_stay(flags: str, kept: str | None) -> None:
    environment = PLAIN | KERNELS | {"XLA_FLAGS": flags}
    assert surroundings.held(environment).get("XLA_FLAGS") == kept
    assert surroundings.left_out(environment) == ([] if flags == kept else ["XLA_FLAGS"])


SCRIPT = """
import os, sys
from flatreg import command
def main():
    print(os.environ.get("JAX_ENABLE_X64"), sys.flags.optimize, sys.argv[1:])
command.run(main)
"""


def test_a_command_begins_again_without_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "two words"],
        env=PLAIN | {"JAX_ENABLE_X64": "1", "PYTHONOPTIMIZE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None 0 ['two words']\n"
    assert done.stderr == (
        "left out, because they could change results: JAX_ENABLE_X64, PYTHONOPTIMIZE\n"
    )
