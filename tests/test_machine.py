"""A job's numbers must not depend on the number of cores or on the user's environment."""

from __future__ import annotations

import json
import subprocess
import sys

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
