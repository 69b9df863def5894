"""Run the Python code of the README and of the library's page as it is printed.

`python tests/penalty/documented.py` runs it in an environment that has only the library.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str) -> list[str]:
    """The blocks of Python code of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)


def what_the_readme_names() -> dict[str, Any]:
    """A stand-in for a reader's own training: a small logistic regression."""

    def loss(params: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jnp.logaddexp(0.0, -y * (x @ params)))

    x = jax.random.normal(jax.random.key(0), (16, 4))
    scope = {"loss": loss, "x": x, "y": jnp.where(x[:, 0] > 0, 1.0, -1.0)}
    return scope | {"params": jnp.full(4, 0.1), "key": jax.random.key(1), "lam": 100.0, "step": 10}


def run(page: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Run all blocks in order; return the names that they define."""
    for block in blocks(page):
        exec(block, scope)
    return scope


if __name__ == "__main__":
    for page, scope in (("README.md", what_the_readme_names()), ("docs/penalty.md", {})):
        print(f"{page}: {run(page, scope)['value']}")
