"""A reference is made by one code on one machine, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flatreg import reference, tables
from flatreg.errors import UserError

FACTS = {
    "command": ["python", "a"],
    "commit": "abc",
    "dirty": False,
    "processor": "one",
    "begun": 10.0,
    "ended": 20.0,
}


def common(**changes: Any) -> dict[str, Any]:
    second = FACTS | {"command": ["python", "b"], "begun": 5.0, "ended": 15.0} | changes
    return reference.common_facts({Path("a"): FACTS, Path("b"): second})


def test_what_all_runs_share_and_how_long_they_took() -> None:
    assert common() == {
        "commit": "abc",
        "dirty": False,
        "processor": "one",
        "begun": 5.0,
        "ended": 20.0,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dirty": True}, "b was made by code that no commit has"),
        ({"commit": None}, "b was made by code that no commit has"),
        ({"commit": "def"}, 'a and b differ in commit ("abc" and "def")'),
        ({"processor": "two"}, 'a and b differ in processor ("one" and "two")'),
    ],
)
def test_runs_of_different_making_are_no_reference(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        common(**changes)
    assert message in str(caught.value)


def test_the_estimators_agree_within_their_intervals(root: Path) -> None:
    """The study by the cheapest estimators, and by automatic differentiation alone."""
    place = [*tables.CELL, "metric"]
    folder = root / "results/reference"
    ours, theirs = (
        tables.read(path, tables.SUMMARY_TABLE).set_index(place)
        for path in (folder / "summary.csv", folder / "autodiff/summary.csv")
    )
    both = ours.join(theirs, lsuffix="_auto", rsuffix="_autodiff", how="inner")
    both = both[both.index.isin(["test_accuracy", "tr_h2"], level="metric")]
    assert len(both) == len(theirs.loc[:, :, :, ["test_accuracy", "tr_h2"], :])
    known = both.dropna(subset=["low_auto", "low_autodiff"])
    assert len(known) > 0.9 * len(both)
    apart = (known["low_auto"] > known["high_autodiff"]) | (
        known["low_autodiff"] > known["high_auto"]
    )
    assert not apart.any(), known[apart]
