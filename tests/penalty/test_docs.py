"""The code in the documentation of the library runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .documented import ROOT, blocks, examples, run, run_example, what_the_readme_names

pytestmark = pytest.mark.usefixtures("quick_compilation")

ON_FOUR = "Several devices"
# The program ends with the numbers of threads of all BLAS libraries, after a step of `gram`.
STEP = """
import jax
import jax.numpy as jnp
from threadpoolctl import ThreadpoolController

from flatreg import penalty

layer = penalty.FirstLayer(lambda p: (p, None, ()), lambda zeta, x: jnp.mean(zeta[0] ** 2), False)
jax.grad(lambda p: penalty.gram(layer)(p, jnp.eye(3, 8), key=jax.random.key(0)))(jnp.ones((8, 2)))
print({pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()})
"""


def test_the_page_s_code_runs_in_its_order() -> None:
    assert len(blocks("docs/penalty.md")) >= 9
    scope = run("docs/penalty.md", {})
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(scope["gradient"]))


def test_the_readme_s_lines_run_and_have_a_gradient() -> None:
    assert len(blocks("README.md")) == 1
    scope = run("README.md", what_the_readme_names())
    plain = jax.grad(scope["loss"])(scope["params"], scope["x"], scope["y"])
    assert jnp.linalg.norm(scope["gradient"] - plain) > 1e-2 * jnp.linalg.norm(plain)
    scope = run("README.md", what_the_readme_names() | {"lam": 0.0})
    np.testing.assert_allclose(scope["gradient"], plain, rtol=1e-6)


def test_each_way_to_hold_the_threads_of_blas_holds_them() -> None:
    page = (ROOT / "docs/penalty.md").read_text(encoding="utf-8")
    (in_process,) = re.findall(r"```py\n(.*?)```", page, re.S)
    (variable,) = re.findall(r"^(OPENBLAS_NUM_THREADS)=1 python train.py$", page, re.M)
    for program, threads in ((STEP, "1"), (in_process + STEP, "2")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {variable: threads},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "{1}\n"


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in examples() if title != ON_FOUR])
def test_each_example_runs_by_itself_and_its_check_passes(title: str) -> None:
    assert "assert " in examples()[title]
    run_example(title)


@pytest.mark.slow
def test_the_example_of_several_devices_on_four_of_them() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "tests/penalty/documented.py", ON_FOUR],
        env=os.environ | flags,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{ON_FOUR}: passed on 4 devices" in done.stdout, done.stderr
