"""A reference is made by one code on one machine, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flatreg import reference
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
