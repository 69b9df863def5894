"""What is left out of the environment, against JAX's own list of its variables."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import pytest

from flatreg import processor, surroundings

# What the tests' own environment may hold.
PLAIN = {"HOME": tempfile.gettempdir(), "PATH": "/bin", "LANG": "C", "CUDA_VISIBLE_DEVICES": "1"}
KERNELS = {"OPENBLAS_CORETYPE": "Haswell"} if "avx2" in processor.features() else {}
ADDED = KERNELS | {"PYTHONUTF8": "1"}


def test_all_that_jax_reads_is_left_out() -> None:
    variables = [name.upper() for name in jax.config.values]
    assert len(variables) > 100
    assert surroundings.held(PLAIN | dict.fromkeys(variables, "1")) == PLAIN | ADDED


def test_other_variables_stay() -> None:
    assert surroundings.held(PLAIN) == PLAIN | ADDED
    assert surroundings.left_out(PLAIN | ADDED) == []


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ("--xla_cpu_enable_fast_math=true", None),
        ("--xla_dump_to=/tmp/a --xla_cpu_enable_fast_math=true", "--xla_dump_to=/tmp/a"),
        ("--xla_gpu_cuda_data_dir=/cuda", "--xla_gpu_cuda_data_dir=/cuda"),
    ],
)
def test_flags_that_change_no_number_stay(flags: str, kept: str | None) -> None:
    environment = PLAIN | ADDED | {"XLA_FLAGS": flags}
    assert surroundings.held(environment).get("XLA_FLAGS") == kept
    assert surroundings.left_out(environment) == ([] if flags == kept else ["XLA_FLAGS"])


SCRIPT = """
import os, sys
from flatreg import command
def main():
    print(os.environ.get("JAX_ENABLE_X64"), sys.flags.optimize, sys.argv[1:])
command.run(main)
"""


def begin(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start a small command under these variables."""
    library = Path(surroundings.__file__).parents[1]
    path = os.pathsep.join([environment.get("PYTHONPATH", ""), str(library)])
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, "two words"],
        env=PLAIN | environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_a_command_begins_again_without_them() -> None:
    done = begin({"JAX_ENABLE_X64": "1", "PYTHONOPTIMIZE": "1"})
    assert (done.returncode, done.stdout) == (0, "None 0 ['two words']\n")
    assert done.stderr == (
        "left out, because they could change results: JAX_ENABLE_X64, PYTHONOPTIMIZE\n"
    )
    assert begin({}).stderr == ""


@pytest.mark.parametrize(
    ("start_up", "told"),
    [
        ("import os; os.environ['JAX_ENABLE_X64'] = '1'", "sets JAX_ENABLE_X64, which could"),
        ("import jax; jax.config.update('jax_enable_x64', True)", "loads jax, and could change"),
    ],
)
def test_a_start_up_file_that_reaches_numbers_is_told(
    start_up: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(start_up)
    done = begin({"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"sitecustomize.py, or a .pth file) {told}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_account_without_a_home_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "HOME" not in surroundings.held({}), "the system knows one"
    assert surroundings.held({"HOME": str(tmp_path)})["HOME"] == str(tmp_path)
    assert surroundings.held({"HOME": "/proc/nowhere"})["HOME"] == tempfile.gettempdir()
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)
    assert surroundings.held({})["HOME"] == tempfile.gettempdir()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_libraries_that_variables_bring_are_recorded(tmp_path: Path) -> None:
    maps = Path("/proc/self/maps").read_text()
    system = re.search(r"/\S*/libm\.so\.6$", maps, re.MULTILINE)[0]
    mine = shutil.copy(system, tmp_path / "libmine.so")
    script = "from flatreg import surroundings; print(surroundings.libraries())"
    for variables, found in (({}, "[]"), ({"LD_PRELOAD": str(mine)}, "['libmine.so']")):
        words = [sys.executable, "-c", script]
        done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True)
        assert (done.stdout.strip(), done.stderr) == (found, "")


def test_commands_find_this_python_and_nothing_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", PLAIN | {"PATH": str(tmp_path), "MPLBACKEND": "TkAgg"})
    assert surroundings.hold() == "left out, because they could change results: MPLBACKEND"
    here = Path(sys.executable).parent
    assert os.environ["PATH"] == f"{here}{os.pathsep}{tmp_path}"
    assert surroundings.hold() is None
    assert os.environ["PATH"] == f"{here}{os.pathsep}{tmp_path}", "only once"
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    words = [sys.executable, "-c", "import json"]
    subprocess.run(words, cwd=tmp_path, env=dict(os.environ), check=True)
