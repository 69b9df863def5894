"""A reference needs committed code and a single machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flatreg import tables
from flatreg.errors import UserError
from flatreg.publish import reference

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
        "commits": {"abc": 2},
        "dirty": False,
        "processor": "one",
        "begun": 5.0,
        "ended": 20.0,
    }


def test_runs_of_two_commits_are_counted_apart() -> None:
    assert common(commit="def")["commits"] == {"abc": 1, "def": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dirty": True}, "b was made by uncommitted code"),
        ({"commit": None}, "b was made by uncommitted code"),
        ({"processor": "two"}, 'a and b differ in processor ("one" and "two")'),
    ],
)
def test_runs_of_different_making_are_no_reference(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        common(**changes)
    assert message in str(caught.value)


def test_the_estimators_agree_within_their_intervals(root: Path) -> None:
    """Compares cells of the study with the same cells computed by automatic differentiation."""
    place = ["dataset", "lambda", "metric"]
    folder = root / "results/reference"
    auto, autodiff = (
        tables.read(path, tables.SUMMARY_TABLE).set_index(["protocol", *place]).loc[protocol]
        for path, protocol in (
            (folder / "summary.csv", "every_step_fixed"),
            (folder / "autodiff/summary.csv", "autodiff"),
        )
    )
    both = auto.add_suffix("_auto").join(autodiff.add_suffix("_autodiff"), how="inner")
    both = both[both.index.isin(["test_accuracy", "tr_h2"], level="metric")]
    strong = {"cifar100": "0.1", "breast_cancer": "0.3"}
    strong |= dict.fromkeys(["newsgroups20", "imdb_reviews"], "1000")
    assert set(both.index.droplevel("metric")) == {
        (dataset, lam) for dataset, above in strong.items() for lam in ("0", above)
    }
    apart = (both["low_auto"] > both["high_autodiff"]) | (both["low_autodiff"] > both["high_auto"])
    assert not apart.any(), both[apart]
