"""The library's tests compute in full float32 on every device."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def full_precision() -> Iterator[None]:
    """Multiply in float32 where a GPU would otherwise multiply in TF32."""
    with jax.default_matmul_precision("highest"):
        yield
