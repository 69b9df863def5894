"""Outcomes: from the tests of each claim, and how often a whole family has a false one."""

import copy
import gc
import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flatreg import tables
from flatreg.evidence import judge
from flatreg.evidence.judge import Recorded
from flatreg.evidence.ledger import Claim
from flatreg.evidence.plans import MeanPlan, SpreadPlan
from flatreg.evidence.testable import above, untestable
from flatreg.evidence.trials import Evidence, Trial, overlap_of, try_claim
from flatreg.statistics import MarginTest
from flatreg.tables import derived
from flatreg.tables.evidence import CLAIM_RUNS_TABLE, CLAIMS_TABLE, ESTIMATES_TABLE
from tests.evidence.claims import GAIN as A_GAIN

ALPHA, POWER = 0.05, 0.8
CELL = {
    "varies": ["initialization", "order"],
    "lambdas": ["0", "0.1", "1"],
    "source": "digits",
    "penalty": {"interval": 10},
}
STUDY: dict[str, Any] = {
    "analysis": {"alpha": ALPHA, "power": POWER},
    "protocols": {
        "tuned": {"extends": None, "datasets": {"digits": CELL, "other": CELL}},
        "fixed": {"extends": "tuned", "datasets": {"digits": CELL | {"lambdas": ["0.1"]}}},
    },
}
CHANCE = {"digits": 0.1}
GAIN = A_GAIN._replace(metric="test_accuracy", protocols=["tuned"])
STEPS = ["0", "0.1", "1"]
NOTHING = pd.DataFrame(columns=[*tables.RUN, "claim", "sha256", "commit"])


def runs_with(values: dict[str, Any], metric: str = "test_accuracy", **fixed: Any) -> pd.DataFrame:
    """One row per run, from the metric's values for each lambda, one per seed; NaN if diverged."""
    rows = [
        {
            "protocol": "tuned",
            "dataset": "digits",
            "lambda": lam,
            "seed": seed,
            "key": f"{lam}-{seed}",
            "status": "diverged" if np.isnan(value) else "completed",
            "test_accuracy": 0.9,
            "train_examples": 300,
            "test_examples": 100,
            "learning_rate": 0.1,
            "weight_decay": 0.0,
            metric: value,
        }
        | fixed
        for lam, sample in values.items()
        for seed, value in enumerate(sample)
    ]
    return pd.DataFrame(rows)


def evidence_of(runs: pd.DataFrame, study: dict[str, Any] = STUDY, **options: Any) -> Evidence:
    return Evidence(study, runs, CHANCE, **options)


def tried(claim: Claim, runs: pd.DataFrame, study: dict[str, Any] = STUDY) -> Trial:
    return try_claim(claim, "tuned", evidence_of(runs, study), ALPHA)


def judged(
    claim: Claim, *, runs: pd.DataFrame, study: dict[str, Any] = STUDY, family: int = 1
) -> dict[str, Any]:
    """The row of a claim in a family of so many."""
    claims = [claim, *(claim._replace(name=f"other_{k}") for k in range(1, family))]
    table = judge.judge(claims, evidence_of(runs, study), Recorded({}, NOTHING))
    return tables.check(table, CLAIMS_TABLE, "test").iloc[0].to_dict()


def on_splits() -> dict[str, Any]:
    """The study, with a test split that varies with the seed."""
    study = copy.deepcopy(STUDY)
    varies = [*CELL["varies"], "test_split"]
    study["protocols"]["tuned"]["datasets"]["digits"] = CELL | {"varies": varies}
    return study


RNG = np.random.default_rng(0)
BASE = 0.9 + 0.003 * RNG.standard_normal(10)
NOISE = 0.002 * RNG.standard_normal(10)
NOISE -= NOISE.mean()
WIDE = 8 * NOISE


@pytest.mark.parametrize(
    ("effect", "noise", "expected", "verdict"),
    [
        (0.02, NOISE, "higher", "supported"),
        (-0.02, NOISE, "lower", "supported"),
        (0.02, NOISE, "lower", "reversed"),
        (-0.02, NOISE, "higher", "reversed"),
        (0.0, NOISE, "higher", "no effect of practical size"),
        (0.005, NOISE, "higher", "no effect of practical size"),
        (-0.01, NOISE, "higher", "claimed effect excluded"),
        (-0.015, WIDE, "higher", "claimed effect excluded"),
        (0.01, NOISE, "lower", "claimed effect excluded"),
        (0.01, NOISE, "higher", "undetermined"),
        (0.0, WIDE, "higher", "undetermined"),
        (0.02, WIDE, "higher", "undetermined"),
        (0.0, NOISE, "equal", "supported"),
        (0.02, NOISE, "equal", "reversed"),
        (-0.02, NOISE, "equal", "reversed"),
        (0.01, NOISE, "equal", "undetermined"),
        (0.0, WIDE, "equal", "undetermined"),
    ],
)
def test_each_outcome_has_its_verdict(
    effect: float, noise: np.ndarray, expected: str, verdict: str
) -> None:
    runs = runs_with({"0": BASE, "0.1": BASE + effect + noise})
    row = judged(GAIN._replace(expected=expected), runs=runs)
    assert row["verdict"] == verdict
    assert (row["settles"] is None or pd.isna(row["settles"])) == (verdict != "undetermined")


@pytest.mark.parametrize(
    ("expected", "bound", "inside", "outside"),
    [
        # Where the one-sided test of level alpha / 2 against an end of the margin just rejects.
        ("higher", lambda reach: 0.01 + reach, "undetermined", "supported"),
        ("higher", lambda reach: -0.01 - reach, "claimed effect excluded", "reversed"),
        ("equal", lambda reach: 0.01 - reach, "supported", "undetermined"),
        ("equal", lambda reach: 0.01 + reach, "undetermined", "reversed"),
        ("higher", lambda reach: 0.01 - reach, "no effect of practical size", "undetermined"),
    ],
)
def test_a_verdict_turns_where_the_interval_crosses_the_margin(
    expected: str, bound: Any, inside: str, outside: str
) -> None:
    reach = stats.t.ppf(0.975, 9) * np.std(NOISE, ddof=1) / np.sqrt(10)
    limit = bound(reach)
    for factor, verdict in ((0.999, inside), (1.001, outside)):
        runs = runs_with({"0": BASE, "0.1": BASE + factor * limit + NOISE})
        assert judged(GAIN._replace(expected=expected), runs=runs)["verdict"] == verdict


def test_an_effect_within_its_margin_is_never_supported() -> None:
    tiny = 1e-5 * NOISE / NOISE.std()
    row = judged(GAIN, runs=runs_with({"0": BASE, "0.1": BASE + 0.0099 + tiny}))
    assert stats.ttest_1samp(0.0099 + tiny, 0).pvalue < 1e-20
    assert row["verdict"] == "no effect of practical size"


def test_a_rejection_needs_no_power() -> None:
    runs = runs_with({"0": [0.90, 0.91, 0.92], "0.1": [0.10, 0.12, 0.11]})
    row = judged(GAIN._replace(expected="lower"), runs=runs)
    assert row["power"] < POWER
    assert row["verdict"] == "supported"


def test_the_numbers_are_scipys() -> None:
    treated = BASE + 0.004 + NOISE
    runs = runs_with({"0": BASE, "0.1": treated})
    trial, row = tried(GAIN, runs), judged(GAIN, runs=runs, family=3)
    differences = treated - BASE
    interval = stats.ttest_rel(treated, BASE).confidence_interval(0.95)
    assert (trial.low, trial.high) == pytest.approx(tuple(interval))
    assert trial.largest == pytest.approx(max(differences, key=abs))
    assert trial.check_p == pytest.approx(stats.wilcoxon(differences).pvalue)
    greater, less = (
        lambda end: stats.ttest_1samp(differences, end, alternative="greater").pvalue,
        lambda end: stats.ttest_1samp(differences, end, alternative="less").pvalue,
    )
    assert row["tail"] == "above"
    assert row["p"] == pytest.approx(greater(0.01))
    assert row["equivalence_p"] == pytest.approx(max(greater(-0.01), less(0.01)))
    assert row["excluded_p"] == pytest.approx(less(0.01))
    for name in ("p", "equivalence_p", "excluded_p"):
        # Two tails and three claims.
        assert row[f"{name}_adjusted"] == pytest.approx(min(1, 6 * row[name]))


def test_a_tiny_p_is_that_of_its_own_tail() -> None:
    claim = GAIN._replace(expected="equal")
    row = judged(claim, runs=runs_with({"0": BASE, "0.1": BASE - 0.5 + NOISE}))
    error = np.std(NOISE, ddof=1) / np.sqrt(10)
    assert 0 < row["p"] < 1e-18
    assert row["tail"] == "below"
    assert row["p"] == pytest.approx(stats.t.cdf((-0.5 + 0.01) / error, 9), rel=1e-6)


def test_a_ratio_is_tested_in_logarithms_and_told_as_a_ratio() -> None:
    claim = GAIN._replace(metric="tr_h2", scale="ratio", margin=1.5, value=3.0)
    runs = runs_with({"0": np.exp(BASE), "0.1": 2 * np.exp(BASE + NOISE)}, "tr_h2")
    row = judged(claim, runs=runs)
    logs = np.log(2) + NOISE - np.log(3)
    assert row["estimate"] == pytest.approx(3 * np.exp(logs.mean()))
    below = stats.ttest_1samp(logs, -np.log(1.5), alternative="less").pvalue
    above_it = stats.ttest_1samp(logs, np.log(1.5), alternative="greater").pvalue
    assert row["p"] == pytest.approx(min(below, above_it))
    assert row["detectable"] > 1.5


def test_a_trend_is_tested_in_spearmans_rho_within_its_bounds() -> None:
    claim = GAIN._replace(test="trend", lambdas=STEPS, against=None, margin=0.3)
    rng = np.random.default_rng(2)
    noise = 0.004 * rng.standard_normal((3, 10))
    values = {lam: BASE + 0.004 * k + noise[k] for k, lam in enumerate(STEPS)}
    row = judged(claim, runs=runs_with(values))
    table = np.array(list(values.values())).T
    rho = [stats.spearmanr(range(3), seed).statistic for seed in table]
    assert row["estimate"] == pytest.approx(np.mean(rho))
    assert -1 <= row["low"] < row["estimate"] < row["high"] <= 1
    assert row["unit"] == "Spearman's rho"
    exact = stats.page_trend_test(table, method="exact")
    assert row["check_p"] == pytest.approx(2 * exact.pvalue)


def test_a_trend_alike_in_every_seed_is_tested_by_signs() -> None:
    claim = GAIN._replace(test="trend", lambdas=STEPS, against=None, margin=0.3)
    values = {lam: BASE + 0.1 * k for k, lam in enumerate(STEPS)}
    row = judged(claim, runs=runs_with(values))
    assert row["estimate"] == 1
    assert row["p"] == pytest.approx(0.5**10)
    assert row["verdict"] == "supported"


def test_of_several_lambdas_the_one_that_fits_worst_is_told() -> None:
    claim = GAIN._replace(expected="equal", lambdas=["0.1", "1"])
    runs = runs_with({"0": BASE, "0.1": BASE + NOISE, "1": BASE + 0.02 + NOISE})
    both, alone = tried(claim, runs), tried(claim._replace(lambdas=["1"]), runs)
    assert both.estimate == alone.estimate
    assert both.test.p_within == alone.test.p_within
    assert both.test.p_above == pytest.approx(2 * alone.test.p_above)
    assert "the worst of 2" in both.comparison
    assert judged(claim, runs=runs)["verdict"] == "reversed"


def test_two_spreads_are_held_against_each_other() -> None:
    claim = GAIN._replace(
        test="spread", lambdas=["0"], against={"dataset": "other"}, scale="ratio", margin=2.0
    )
    wide = 0.9 + 0.05 * RNG.standard_normal(20)
    narrow = 0.9 + 0.001 * RNG.standard_normal(20)
    runs = pd.concat([runs_with({"0": wide}), runs_with({"0": narrow}, dataset="other")])
    row = judged(claim, runs=runs)
    ratio = np.std(wide, ddof=1) / np.std(narrow, ddof=1)
    assert row["estimate"] == pytest.approx(ratio)
    assert row["low"] < row["estimate"] < row["high"]
    assert row["p"] == pytest.approx(stats.f.sf((ratio / 2) ** 2, 19, 19))
    assert row["verdict"] == "supported"


def test_a_correlation_that_lambda_makes_is_none_at_fixed_lambda() -> None:
    rng = np.random.default_rng(1)
    values = {lam: 0.1 * k + 0.01 * rng.standard_normal(20) for k, lam in enumerate("0123")}
    runs = runs_with(values)
    runs["tr_h2"] = runs["test_accuracy"].round(1) * 100 + rng.standard_normal(len(runs))
    claim = GAIN._replace(
        test="correlation", metric="tr_h2", target="test_accuracy", lambdas=None, against=None
    )._replace(margin=0.3)
    plain, partial = tried(claim, runs), tried(claim._replace(test="partial_correlation"), runs)
    assert plain.low > 0.5
    assert partial.low < 0 < partial.high
    assert plain.check_p == stats.kendalltau(runs["tr_h2"], runs["test_accuracy"]).pvalue


# ── Random splits of one data set ─────────────────────────────────────────────


def test_differences_over_random_splits_are_tested_by_nadeau_and_bengio() -> None:
    differences = 0.004 + NOISE
    runs = runs_with({"0": BASE, "0.1": BASE + differences})
    assert overlap_of(runs, STUDY, "test_accuracy") == 0
    assert overlap_of(runs, on_splits(), "last_accuracy_gap") == pytest.approx(100 / 300)
    assert overlap_of(runs, on_splits(), "last_tr_h2") == 0, "of training examples"
    row = judged(GAIN, runs=runs, study=on_splits())
    error = np.std(differences, ddof=1) * np.sqrt(1 / 10 + 100 / 300)
    assert row["excluded_p"] == pytest.approx(stats.t.cdf((np.mean(differences) - 0.01) / error, 9))
    half = stats.t.ppf(0.975, 9) * error
    assert row["high"] - row["low"] == pytest.approx(2 * half)
    assert pd.isna(row["check"])


def test_a_spread_over_random_splits_is_corrected_too() -> None:
    claim = GAIN._replace(
        test="spread", lambdas=["0"], against={"dataset": "other"}, scale="ratio", margin=2.0
    )
    runs = pd.concat([runs_with({"0": BASE}), runs_with({"0": BASE}, dataset="other")])
    assert tried(claim, runs).estimate == pytest.approx(1)
    assert tried(claim, runs, on_splits()).estimate == pytest.approx(np.sqrt(4 / 3))


# ── Identical runs ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("n", "difference", "expected", "verdict"),
    [
        (5, 0.0, "equal", "supported"),
        (4, 0.0, "equal", "undetermined"),
        (5, 0.0, "higher", "no effect of practical size"),
        (5, 0.5, "higher", "supported"),
        (5, 0.5, "lower", "reversed"),
        (5, 0.5, "equal", "reversed"),
    ],
)
def test_runs_that_are_equal_in_every_seed_are_told_by_the_largest_difference(
    n: int, difference: float, expected: str, verdict: str
) -> None:
    runs = runs_with({"0": [0.25] * n, "0.1": [0.25 + difference] * n})
    row = judged(GAIN._replace(expected=expected), runs=runs)
    assert row["verdict"] == verdict
    assert row["largest"] == difference
    assert math.isnan(row["p"])
    assert math.isnan(row["p_adjusted"])
    assert f"all {n} values are equal" in row["note"]


def test_a_lambda_without_any_difference_hides_no_other() -> None:
    claim = GAIN._replace(expected="equal", lambdas=["0.1", "1"])
    near = judged(claim, runs=runs_with({"0": BASE, "0.1": BASE, "1": BASE + NOISE}))
    far = judged(claim, runs=runs_with({"0": BASE, "0.1": BASE, "1": BASE + 0.02 + NOISE}))
    assert (near["verdict"], far["verdict"]) == ("supported", "reversed")
    assert far["largest"] > 0.02


# ── Claims that cannot be tested ──────────────────────────────────────────────


@pytest.mark.parametrize(
    ("accuracies", "learned"),
    [
        ([0.10, 0.10, 0.10], False),
        ([0.11, 0.11, 0.11], True),
        ([0.09, 0.10, 0.12], False),
        ([0.19, 0.20, 0.22], True),
        ([0.05, 0.06, 0.05], False),
        ([0.5], True),
    ],
)
def test_plain_training_must_be_above_chance(accuracies: list[float], learned: bool) -> None:
    runs = runs_with({"0": accuracies, "0.1": [0.9] * len(accuracies)})
    reason = untestable(GAIN, "tuned", evidence_of(runs), ALPHA)
    assert (reason is None) == learned
    if not learned:
        assert "is not above chance" in str(reason)
        row = judged(GAIN, runs=runs)
        assert row["verdict"] == "not testable"
        assert math.isnan(row["p_adjusted"])


def test_chance_is_tested_one_sided() -> None:
    values = 0.1 + 0.01 * np.array([-0.4, 0.9, 1.1, 0.2])
    p = stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    assert above(pd.Series(values), 0.1, p * 1.001, 0.0)
    assert not above(pd.Series(values), 0.1, p * 0.999, 0.0)
    assert not above(pd.Series(values), 0.1, p * 1.001, 0.1)


def test_what_plain_training_does_itself_can_always_be_told() -> None:
    claim = GAIN._replace(
        test="mean", lambdas=["0"], against=None, value=0.5, expected="equal", margin=0.1
    )
    assert judged(claim, runs=runs_with({"0": [0.1] * 5}))["verdict"] == "reversed"


def test_a_protocol_without_plain_training_has_that_of_the_one_it_extends() -> None:
    nan = float("nan")
    claim = GAIN._replace(against={"protocol": "tuned", "lambda": "0"}, protocols=["fixed"])
    treated = runs_with({"0.1": BASE}, protocol="fixed")
    for plain, reason in ((BASE, None), ([nan] * 10, "all 10 runs of plain training")):
        runs = pd.concat([treated, runs_with({"0": plain})])
        found = untestable(claim, "fixed", evidence_of(runs), ALPHA)
        assert (found is None) if reason is None else str(found).startswith(reason)


def test_a_lambda_at_which_all_runs_diverged_cannot_be_tested() -> None:
    nan = float("nan")
    runs = runs_with({"0": BASE, "0.1": [nan] * 10})
    row = judged(GAIN, runs=runs)
    assert row["verdict"] == "not testable"
    assert row["note"].startswith("all 10 runs at lambda 0.1 diverged")
    assert row["diverged"] == 10


def test_what_is_missing_is_said_where_too_few_runs_are_left() -> None:
    nan = float("nan")
    runs = runs_with({"0": [0.9, 0.91, 0.92], "0.1": [nan, nan, 0.93]})
    row = judged(GAIN, runs=runs)
    assert row["verdict"] == "undetermined"
    assert (row["n"], row["diverged"]) == (1, 2)
    assert "one value has no spread" in row["note"]
    assert row["settles"].startswith("at least 5 seeds")


# ── What would settle it ──────────────────────────────────────────────────────


def test_what_settles_a_claim_is_the_number_of_seeds_that_has_the_power() -> None:
    runs = runs_with({"0": BASE, "0.1": BASE + 0.02 + WIDE})
    row = judged(GAIN, runs=runs, family=2)
    n, unit = row["settles"].split()
    assert unit == "seeds"
    level = ALPHA / 4
    sd = np.std(WIDE, ddof=1)

    def power(n: int) -> float:
        return stats.nct.sf(stats.t.isf(level, n - 1), n - 1, 0.01 / sd * np.sqrt(n))

    assert power(int(n)) >= POWER > power(int(n) - 1)


def test_what_settles_is_on_the_side_where_the_effect_lies() -> None:
    plan = MeanPlan(n=5, effect=0.5, sd=1.0, margin=1.0)
    up = plan.seeds(0.025, 0.8, expected="higher")
    assert up == plan._replace(effect=1.5).seeds(0.025, 0.8, expected="higher")
    assert plan.seeds(0.025, 0.8, expected="lower") < up
    assert plan.seeds(0.025, 0.8, expected="equal") >= up
    assert plan._replace(effect=-0.5).seeds(0.025, 0.8, expected="lower") == up


def test_overlapping_splits_may_leave_a_claim_open_for_ever() -> None:
    plan = MeanPlan(n=10, effect=0.5, sd=1.0, margin=1.0, overlap=1 / 3)
    assert math.isinf(plan.seeds(0.025, 0.8, expected="higher"))
    runs = runs_with({"0": BASE, "0.1": BASE + 0.009 + WIDE})
    row = judged(GAIN, runs=runs, study=on_splits())
    assert row["settles"] == "no number of splits of these examples"


def test_power_is_that_of_the_test_that_was_made() -> None:
    runs = runs_with({"0": BASE, "0.1": BASE + NOISE})
    row = judged(GAIN, runs=runs, family=3)
    sd, level = np.std(NOISE, ddof=1), ALPHA / 6
    critical, shift = stats.t.isf(level, 9), 0.01 / sd * np.sqrt(10)
    assert row["power"] == pytest.approx(stats.nct.sf(critical, 9, shift), rel=1e-6)
    beyond = (row["detectable"] - 0.01) / sd * np.sqrt(10)
    assert stats.nct.sf(critical, 9, beyond) == pytest.approx(POWER, rel=1e-5)


def test_a_spread_is_planned_by_f() -> None:
    plan = SpreadPlan(n=20, m=30, effect=np.log(3), margin=np.log(2))
    draws = np.random.default_rng(3).standard_normal((2, 20_000, 30))
    critical = stats.f.isf(0.01, 19, 29)
    ratio = np.var(4 * draws[0, :, :20], axis=1, ddof=1) / np.var(draws[1], axis=1, ddof=1)
    assert plan.power(0.01, equal=False) == pytest.approx(np.mean(ratio / 4 > critical), abs=0.01)
    n = int(plan.seeds(0.01, 0.8, expected="higher"))
    power = stats.f.sf(stats.f.isf(0.01, n - 1, n - 1) * (2 / 3) ** 2, n - 1, n - 1)
    assert power >= 0.8
    found = math.exp(plan.detectable(0.01, 0.8))
    assert stats.f.sf(critical * (2 / found) ** 2, 19, 29) == pytest.approx(0.8)


# ── Times, and what was registered ────────────────────────────────────────────


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """A bench of 12 rounds, that registered the claim."""
    rounds = (10 + np.random.default_rng(0).random(12)).tolist()
    network = {"shape": {}, "rounds": {"theirs": rounds}}
    facts = {"ledger": {"claims": {"gain": "a"}, "commit": "c"}}
    path = tmp_path / "cost.json"
    path.write_text(json.dumps({"facts": facts, "networks": {"digits": network}}))
    return path


BENCH = GAIN._replace(
    metric=None,
    test="bench",
    way="theirs",
    scale="ratio",
    expected="equal",
    lambdas=None,
    against=None,
)


@pytest.mark.parametrize(("margin", "verdict"), [(2.5, "supported"), (1.5, "reversed")])
def test_a_claim_about_time_is_judged_by_the_rounds_of_the_bench(
    timed: Path, margin: float, verdict: str
) -> None:
    runs = runs_with({"0": BASE})
    claim = BENCH._replace(margin=margin)
    evidence = evidence_of(runs, timed=timed)
    table = judge.judge([claim], evidence, Recorded({"gain": "a"}, NOTHING, timed))
    (row,) = tables.check(table, CLAIMS_TABLE, "test").to_dict("records")
    ratios = json.loads(timed.read_text())["networks"]["digits"]["rounds"]["theirs"]
    logs = np.log((9 + np.array(ratios)) / 10)
    assert row["estimate"] == pytest.approx(np.exp(logs.mean()))
    assert (row["n"], row["metric"], row["diverged"]) == (12, "seconds_per_step", 0)
    assert row["comparison"] == "theirs, every 10 steps, to a plain step"
    assert row["verdict"] == verdict
    assert row["registered"] == "yes"
    assert judge.behind([claim], runs).empty


def test_a_claim_is_registered_if_all_its_runs_recorded_it() -> None:
    runs = runs_with({"0": BASE, "0.1": BASE + NOISE})
    recorded = runs[tables.RUN].assign(claim="gain", sha256="a", commit="c")
    for digest, rows, registered in (
        ("a", recorded, "yes"),
        ("b", recorded, "exploratory"),
        ("a", recorded[1:], "exploratory"),
        ("a", recorded.assign(claim="loss"), "exploratory"),
        ("a", recorded.assign(commit=None), "exploratory"),
    ):
        table = judge.judge([GAIN], evidence_of(runs), Recorded({"gain": digest}, rows))
        assert list(table["registered"]) == [registered]


def test_other_rates_of_the_two_sides_are_noted() -> None:
    runs = runs_with({"0": BASE, "0.1": BASE + NOISE})
    assert pd.isna(judged(GAIN, runs=runs)["note"])
    runs.loc[runs["lambda"] == "0.1", "learning_rate"] = 0.03
    runs.loc[runs["lambda"] == "0.1", "weight_decay"] = 0.1
    note = "learning_rate 0.03 against 0.1; weight_decay 0.1 against 0"
    assert judged(GAIN, runs=runs)["note"] == note


def test_a_claim_on_divergence_counts_the_runs_that_diverged() -> None:
    runs = runs_with({"0": BASE, "0.1": np.where(np.arange(10) < 9, np.nan, BASE)})
    runs = runs.assign(diverged=(runs["status"] == "diverged").astype(float))
    claim = GAIN._replace(metric="diverged", margin=0.5)
    row = judged(claim, runs=runs)
    assert (row["estimate"], row["unit"]) == (pytest.approx(0.9), "share of runs")
    assert row["p"] == pytest.approx(
        stats.ttest_1samp([1.0] * 9 + [0.0], 0.5, alternative="greater").pvalue
    )
    every = runs_with({"0": BASE, "0.1": np.full(10, np.nan)})
    every = every.assign(diverged=(every["status"] == "diverged").astype(float))
    assert judged(claim, runs=every)["verdict"] == "supported"


def test_the_trials_that_do_not_decide_are_a_family_of_their_own() -> None:
    runs = runs_with({"0": BASE, "0.1": BASE + 0.011 + NOISE})
    runs = pd.concat([runs, runs.assign(protocol="fixed")])
    study = copy.deepcopy(STUDY)
    study["protocols"]["fixed"] = study["protocols"]["tuned"]
    claims = [
        GAIN._replace(protocols=["tuned", "fixed"]),
        GAIN._replace(name="second", protocols=["tuned"]),
        GAIN._replace(name="third", family="asked"),
    ]
    table = judge.judge(claims, evidence_of(runs, study), Recorded({}, NOTHING))
    table = table.set_index(["claim", "protocol"])
    assert table["family"].to_dict() == {
        ("gain", "tuned"): "primary",
        ("gain", "fixed"): "robustness",
        ("second", "tuned"): "primary",
        ("third", "tuned"): "asked",
    }
    factors = (table["p_adjusted"] / table["p"]).to_dict()
    assert factors[("gain", "tuned")] == pytest.approx(4)
    assert factors[("gain", "fixed")] == pytest.approx(2)
    assert factors[("third", "tuned")] == pytest.approx(2)


def test_the_runs_behind_a_verdict_are_told_by_side() -> None:
    runs = runs_with({"0": BASE, "0.1": BASE, "1": BASE})
    behind = tables.check(judge.behind([GAIN], runs), CLAIM_RUNS_TABLE, "test")
    assert set(behind["key"][behind["side"] == "treated"]) == {f"0.1-{s}" for s in range(10)}
    assert set(behind["key"][behind["side"] == "baseline"]) == {f"0-{s}" for s in range(10)}


def test_quantities_of_a_diverged_run_are_missing() -> None:
    runs = runs_with({"0": [0.7, 0.8]}).assign(train_accuracy=0.9, train_loss=0.3, test_loss=0.5)
    last = {"last_train_accuracy": 1.0, "last_train_loss": 0.1, "last_test_loss": 0.6}
    runs = runs.assign(**last, last_test_accuracy=0.75)
    runs.loc[0, "status"] = tables.DIVERGED
    found = derived.of_runs(runs, pd.DataFrame(columns=list(ESTIMATES_TABLE.columns)))
    gaps = ["accuracy_gap", "loss_gap", "last_accuracy_gap", "last_loss_gap"]
    assert found.loc[0, ["test_accuracy", *gaps]].isna().all()
    assert found.loc[1, gaps].tolist() == pytest.approx([0.1, 0.2, 0.25, 0.5])


# ── How often a whole family is wrong ─────────────────────────────────────────

ROUNDS = 2000
# Numbers of seeds per claim of a simulated family; as in this study, from 5 to 30.
SEEDS = [5] * 3 + [10] * 12 + [30] * 3
MARGIN = 1.0


def one_sided(values: np.ndarray, overlap: float) -> dict[str, np.ndarray]:
    """A second implementation of the tests: the p of samples [rounds, n] that may have NaN."""
    n = np.sum(~np.isnan(values), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rounds with no or one value
        mean, sd = np.nanmean(values, axis=1), np.nanstd(values, axis=1, ddof=1)
        error = sd * np.sqrt(1 / n + overlap)
        upper, lower = (mean - MARGIN) / error, (mean + MARGIN) / error
    tested = (n > 1) & (sd > 0)
    return {
        "estimate": mean,
        "sd": sd,
        "n": n,
        "p_above": np.where(tested, stats.t.sf(upper, n - 1), np.nan),
        "p_not_above": np.where(tested, stats.t.cdf(upper, n - 1), np.nan),
        "p_below": np.where(tested, stats.t.cdf(lower, n - 1), np.nan),
        "p_not_below": np.where(tested, stats.t.sf(lower, n - 1), np.nan),
    }


def draw(rng: np.random.Generator, n: int, effect: float, kind: str) -> np.ndarray:
    """Samples [ROUNDS, n] with the given mean; NaN for a diverged run."""
    values = rng.standard_normal((ROUNDS, n))
    if kind == "splits":
        # The correlation that Nadeau and Bengio assume of splits with a third as test examples.
        values = np.sqrt(0.75) * values + np.sqrt(0.25) * rng.standard_normal((ROUNDS, 1))
    if kind == "diverged":
        values[rng.random(values.shape) < 0.3] = np.nan
    # Rounded about the mean, like accuracies on few examples, which take few values.
    return effect + (np.round(values) if kind == "ties" else values)


def is_false(expected: str, verdict: str, effect: float) -> bool:
    """Whether an outcome is wrong. An effect of just the margin is within it, so supported is."""
    effect = -effect if expected == "lower" else effect
    within = abs(effect) <= MARGIN
    right = {
        "supported": within if expected == "equal" else effect > MARGIN,
        "reversed": not within if expected == "equal" else effect < -MARGIN,
        "no effect of practical size": within,
        "claimed effect excluded": effect <= MARGIN,
        "undetermined": True,
    }
    return not right[verdict]


KINDS = ["normal", "ties", "diverged", "splits"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_rounds_at_once_are_as_one_after_another(kind: str) -> None:
    study = on_splits() if kind == "splits" else STUDY
    claim = GAIN._replace(margin=MARGIN)
    for n in (3, 5, 10):
        values = draw(np.random.default_rng(n), n, 0.5, kind)
        both = one_sided(values, 1 / 3 if kind == "splits" else 0.0)
        for number in range(40):
            runs = runs_with({"0": np.zeros(n), "0.1": values[number]})
            found = tried(claim, runs, study).test
            for name in ("p_above", "p_not_above", "p_below", "p_not_below"):
                expected = both[name][number]
                assert getattr(found, name) == pytest.approx(expected, nan_ok=True, abs=1e-12)


@pytest.fixture
def frozen() -> Iterator[None]:
    """Exempt existing objects from the garbage collection that each round may start."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truth", ["none", "at the margin", "just beyond it", "mixed"])
def test_false_verdicts_of_a_family_are_rarer_than_alpha(kind: str, truth: str) -> None:
    """A third of the claims each expects a higher, a lower and an equal value."""
    rng = np.random.default_rng([ord(kind[0]), ord(truth[-1])])
    effects = {
        "none": np.zeros(len(SEEDS)),
        "at the margin": rng.choice([MARGIN, -MARGIN], len(SEEDS)),
        "just beyond it": rng.choice([1.001 * MARGIN, -1.001 * MARGIN], len(SEEDS)),
        "mixed": rng.choice([0.0, 0.5, MARGIN, -MARGIN, 3.0], len(SEEDS)),
    }[truth]
    expected = [("higher", "lower", "equal")[k % 3] for k in range(len(SEEDS))]
    overlap = 1 / 3 if kind == "splits" else 0.0
    samples = [draw(rng, n, effect, kind) for n, effect in zip(SEEDS, effects, strict=True)]
    tested = [one_sided(values, overlap) for values in samples]
    false = sum(has_false_verdict(expected, tested, effects, number) for number in range(ROUNDS))
    high = stats.binomtest(false, ROUNDS).proportion_ci(0.95, method="wilson").high
    assert high <= 0.05, f"{false} of {ROUNDS} families have a false verdict"


def has_false_verdict(
    expected: list[str], tested: list[dict[str, np.ndarray]], effects: np.ndarray, number: int
) -> bool:
    """Whether any claim of one simulated family gets an outcome that its true effect belies."""
    trials = [trial_of({name: values[number] for name, values in t.items()}) for t in tested]
    adjusted, _ = judge.adjust([trial.test.nulls() for trial in trials], ALPHA)
    verdicts = [
        judge.verdict(claim, trial, p, ALPHA)
        for claim, trial, p in zip(expected, trials, adjusted, strict=True)
    ]
    return any(map(is_false, expected, verdicts, effects))


def trial_of(numbers: dict[str, float]) -> Trial:
    """A trial with nothing but its tests."""
    fields = dict.fromkeys(MarginTest._fields, float("nan")) | numbers
    seen = None
    if numbers["n"] >= 5 and numbers["sd"] == 0:
        outside = "above" if numbers["estimate"] > 0 else "below"
        seen = "within" if abs(numbers["estimate"]) < MARGIN else outside
        seen = None if abs(numbers["estimate"]) == MARGIN else seen
    return Trial(**dict.fromkeys(Trial._fields) | {"test": MarginTest(**fields), "seen": seen})


def test_an_effect_beyond_the_margin_is_found() -> None:
    rng = np.random.default_rng(7)
    tested = one_sided(2.5 + rng.standard_normal((ROUNDS, 10)), 0.0)
    found = [
        has_false_verdict(["lower"], [tested], np.array([0.0]), number) for number in range(200)
    ]
    assert np.mean(found) > 0.95
