"""The library's tests compute in full float32 on every device."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

from flatreg.penalty import hutchinson

from .every_sign import over_all_signs


@pytest.fixture(autouse=True, scope="module")
def full_precision() -> Iterator[None]:
    """Multiply in float32 where a GPU would otherwise multiply in TF32."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="module")
def double_precision(quick_compilation: None) -> Iterator[None]:
    """Compute in float64, for what holds up to rounding."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def every_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the mean over all sign vectors for the mean over the probes."""
    monkeypatch.setattr(hutchinson, "mean_over_probes", over_all_signs)
