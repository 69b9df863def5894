"""What planning takes runs: overlays drawn at random, each with the jobs of a cell that it changes.

`python -m tests.config.overlays 500` draws more of the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config import overlays

pytestmark = pytest.mark.slow


def test_what_planning_takes_trains_and_is_measured(tmp_path: Path, quick_compilation: None):
    found = list(overlays.outcomes(range(DRAWS), tmp_path))
    assert [outcome for outcome in found if outcome.kind == "failed"] == []
    assert {outcome.kind for outcome in found} == {"told", "fine"}


# So many take ten seconds.
DRAWS = 10
