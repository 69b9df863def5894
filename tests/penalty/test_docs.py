"""The library's page runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import numpy as np


def test_the_page_s_code_runs_in_its_order(root: Path) -> None:
    blocks = re.findall(
        r"```python\n(.*?)```", (root / "docs/penalty.md").read_text(encoding="utf-8"), re.S
    )
    assert len(blocks) >= 9
    scope: dict[str, object] = {}
    for block in blocks:
        exec(block, scope)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(scope["gradient"]))
