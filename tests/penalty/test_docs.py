"""The code in the documentation of the library runs as it is printed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .documented import blocks, run, what_the_readme_names

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_page_s_code_runs_in_its_order() -> None:
    assert len(blocks("docs/penalty.md")) >= 9
    scope = run("docs/penalty.md", {})
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(scope["gradient"]))


def test_the_readme_s_lines_run_and_have_a_gradient() -> None:
    assert len(blocks("README.md")) == 1
    scope = run("README.md", what_the_readme_names())
    plain = jax.grad(scope["loss"])(scope["params"], scope["x"], scope["y"])
    assert jnp.linalg.norm(scope["gradient"] - plain) > 1e-2 * jnp.linalg.norm(plain)
    scope = run("README.md", what_the_readme_names() | {"step": 9})
    np.testing.assert_allclose(scope["gradient"], plain, rtol=1e-6)
