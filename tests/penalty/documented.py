"""Run the Python code of the README and of the library's pages as it is printed.

`python tests/penalty/documented.py` runs it in an environment that has only the library, and with
the title of an example, this one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str) -> list[str]:
    """The blocks of Python code of a page."""
    return _code((ROOT / page).read_text(encoding="utf-8"))


def examples() -> dict[str, str]:
    """The code of each example of its page, by the title."""
    _, *sections = re.split(
        r"^## ", (ROOT / "docs/examples.md").read_text(encoding="utf-8"), flags=re.M
    )
    return {section.splitlines()[0]: "\n".join(_code(section)) for section in sections}


def _code(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.S)


def what_the_readme_names() -> dict[str, Any]:
    """A stand-in for a reader's own training: a small logistic regression."""

    def loss(params: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jnp.logaddexp(0.0, -y * (x @ params)))

    x = jax.random.normal(jax.random.key(0), (16, 4))
    scope = {"loss": loss, "x": x, "y": jnp.where(x[:, 0] > 0, 1.0, -1.0)}
    return scope | {"params": jnp.full(4, 0.1), "key": jax.random.key(1), "lam": 100.0}


def run(page: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Run all blocks in order; return the names that they define."""
    for block in blocks(page):
        exec(block, scope)
    return scope


def run_example(title: str) -> dict[str, Any]:
    """Run one example by itself; return the names that it defines."""
    scope = {"__name__": title}
    exec(examples()[title], scope)
    return scope


if __name__ == "__main__":
    titles = sys.argv[1:]
    if not titles:
        for page, scope in (("README.md", what_the_readme_names()), ("docs/penalty.md", {})):
            print(f"{page}: {run(page, scope)['value']}")
    for title in titles or examples():
        run_example(title)
        print(f"{title}: passed on {len(jax.devices())} devices", flush=True)
