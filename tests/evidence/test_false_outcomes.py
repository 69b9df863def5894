"""Simulated families: what is drawn has the true effect, and false outcomes are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatreg.evidence import false_outcomes, judge
from flatreg.evidence.false_outcomes import Simulated, draw, is_false
from flatreg.tables.evidence import FAMILIES, ROBUSTNESS
from flatreg.tables.registry import read_named
from tests.copies import ROOT
from tests.evidence.claims import GAIN

ROUNDS = 4000
CLAIM = GAIN._replace(margin=0.3)
TREND = CLAIM._replace(test="trend", lambdas=["0", "0.01", "0.1", "1"], against=None)
SPREAD = CLAIM._replace(test="spread", scale="ratio", margin=2.0, lambdas=["0"])
EQUAL = CLAIM._replace(expected="equal", lambdas=["0.1", "1"])
FAMILY = [
    Simulated(CLAIM, "primary", [10], 0.0),
    Simulated(CLAIM._replace(expected="lower"), "primary", [30], 0.25),
    Simulated(TREND, "primary", [10], 0.0),
    Simulated(SPREAD, "primary", [10, 12], 0.0),
    Simulated(EQUAL, "primary", [10], 0.0),
    Simulated(CLAIM._replace(test="bench", lambdas=None), "primary", [10], 0.0),
]


def drawn(member: Simulated, effect: float, distribution: str = "normal") -> list[np.ndarray]:
    """Samples [ROUNDS, n], one per sample of a round."""
    rounds = draw(member, effect, distribution, ROUNDS, np.random.default_rng(0))
    return [np.array(sample) for sample in zip(*rounds, strict=True)]


@pytest.mark.parametrize("distribution", ["normal", "few values", "skewed", "runs diverge"])
@pytest.mark.parametrize(("expected", "sign"), [("higher", 1), ("lower", -1), ("equal", 1)])
def test_numbers_have_the_true_mean(expected: str, sign: int, distribution: str) -> None:
    member = Simulated(CLAIM._replace(expected=expected), "primary", [20], 0.0)
    (values,) = drawn(member, 2.0, distribution)
    assert np.nanmean(values) == pytest.approx(sign * 2 * 0.3, abs=4 * 0.3 / np.sqrt(20 * ROUNDS))
    assert np.isnan(values).any() == (distribution == "runs diverge")


def test_rank_correlations_have_the_true_mean() -> None:
    (values,) = drawn(Simulated(TREND, "primary", [10], 0.0), 1.0)
    assert np.mean(values) == pytest.approx(0.3, abs=0.01)
    (steep,) = drawn(Simulated(TREND._replace(expected="lower"), "primary", [10], 0.0), 5.0)
    assert np.mean(steep) == pytest.approx(-false_outcomes.LARGEST_CORRELATION, abs=0.01)


def test_spreads_have_the_true_ratio() -> None:
    ours, theirs = drawn(Simulated(SPREAD, "primary", [10, 12], 0.0), 1.0)
    assert (ours.shape[1], theirs.shape[1]) == (10, 12)
    assert np.std(ours) / np.std(theirs) == pytest.approx(2, rel=0.03)


def test_several_lambdas_share_their_baseline() -> None:
    first, second = drawn(Simulated(EQUAL, "primary", [10], 0.0), 1.0)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(0.5, abs=0.02)


def test_splits_have_the_correlation_that_their_test_assumes() -> None:
    (values,) = drawn(Simulated(CLAIM, "primary", [10], 0.25), 0.0)
    correlations = np.corrcoef(values.T)[np.triu_indices(10, 1)]
    assert np.mean(correlations) == pytest.approx(0.25 / 1.25, abs=0.02)


@pytest.mark.parametrize(
    ("expected", "outcome", "false_at"),
    [
        ("higher", "supported", [0, 0.9, -0.9, -2]),
        ("higher", "reversed", [0, 0.9, -0.9, 2]),
        ("lower", "no effect of practical size", [2, -2]),
        ("lower", "claimed effect excluded", [2]),
        ("equal", "supported", [2, -2]),
        ("equal", "reversed", [0, 0.9, -0.9]),
        ("higher", "undetermined", []),
    ],
)
def test_an_outcome_is_false_if_it_excludes_the_truth(
    expected: str, outcome: str, false_at: list[float]
) -> None:
    effects = [0, 0.9, -0.9, 2, -2]
    assert {x for x in effects if is_false(expected, outcome, x)} == set(false_at)


def row(truth: str, distribution: str = "normal", **options: Any) -> dict[str, Any]:
    settings = {"rounds": 1000, "alpha": 0.05, "rng": np.random.default_rng(0)} | options
    return false_outcomes.row(FAMILY, truth, distribution, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("truth", false_outcomes.TRUTHS)
def test_a_family_of_every_kind_of_test_has_few_false_outcomes(truth: str) -> None:
    result = row(truth)
    assert result["high"] <= 0.05
    assert (result["ok"], result["claims"], result["rounds"]) == ("yes", 6, 1000)


def test_false_outcomes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without adjustment over the family many are false."""

    def unadjusted(nulls: list[tuple[float, float, float]], alpha: float) -> Any:
        return [judge.Adjusted(*p) for p in nulls], alpha

    monkeypatch.setattr(judge, "adjust", unadjusted)
    result = row("just outside the margin", rounds=300)
    assert result["false"] > 0.05
    assert result["ok"] == "no"


def test_large_effects_are_determined() -> None:
    assert row("mixed", rounds=100)["determined"] > row("no effect", rounds=100)["determined"]


def test_the_reference_s_ledger_has_few_false_outcomes() -> None:
    result = read_named(ROOT / "results/reference/false_outcomes.csv", "false_outcomes")
    assert (result["high"] <= 0.05).all()
    assert (result["rounds"] >= 2000).all()
    assert set(result["family"]) == {*FAMILIES, ROBUSTNESS}
