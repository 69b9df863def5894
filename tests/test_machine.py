"""A job's numbers must not depend on the number of cores or on the user's environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

DECOMPOSE = """
import json
from flatreg import machine
machine.hold_threads(1)
import jax.numpy as jnp
import threadpoolctl
jnp.linalg.cholesky(jnp.eye(64)).block_until_ready()
print(json.dumps([pool["num_threads"] for pool in threadpoolctl.threadpool_info()]))
"""


def test_the_libraries_that_jax_calls_are_held_to_the_threads() -> None:
    output = subprocess.run(
        [sys.executable, "-c", DECOMPOSE], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    threads = json.loads(output)
    assert threads
    assert set(threads) == {1}


DESCRIBE = """
import json
from flatreg import machine
print(json.dumps(machine.describe()["command"]))
"""


def test_a_command_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    inside = tmp_path / "work/data"
    inside.mkdir(parents=True)
    words = [str(inside), str(tmp_path / "other"), "results/x", "--all", "/"]
    output = subprocess.run(
        [sys.executable, "-c", DESCRIBE, *words],
        cwd=tmp_path / "work",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    program, flag, _, *written = json.loads(output)
    assert (program, flag) == (Path(sys.executable).name, "-c")
    assert written[:4] == ["data", "../other", "results/x", "--all"]
    assert not any(Path(word).is_absolute() for word in written)
