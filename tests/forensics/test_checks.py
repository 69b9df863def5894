"""The checks of the original's numbers, against values computed by hand."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP
from fractions import Fraction
from pathlib import Path
from statistics import pstdev, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flatreg import tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.forensics import denominators, deviations, reported
from flatreg.forensics.reported import Original
from flatreg.tables.reported import TRIPLES_TABLE
from tests.forensics.helpers import pick, prints


def test_the_original_s_file_keeps_what_was_printed(root: Path, original: Original) -> None:
    written = [str(v.printed) for v in original.accuracies("cifar100")]
    assert written[2] == "0.2700"
    assert written[5] == "0.2800"
    posts = original.accuracies("newsgroups20")
    assert [str(v.printed) for v in posts if v.lam == "1"] == ["0.053", "0.055"]
    assert str(original.of("newsgroups20", "seconds")[-1].printed) == "4900"
    assert str(original.of("breast_cancer", "seconds")[-1].printed) == "166.00"
    assert str(original.of("cifar100", "tr_h2")[0].printed) == "0.000"
    assert {name: str(ratio) for name, ratio in original.time_ratios.items()} == {
        "cifar100": "37.6",
        "newsgroups20": "8.8",
        "breast_cancer": "11.3",
    }
    # Every column of every row has its decimals.
    results = read_json(root / "paper/original.json")["results"]
    cells = {(d, r["lambda"], c) for d, rows in results.items() for r in rows for c in r}
    kept = {(v.dataset, v.lam, v.column) for v in original.values}
    assert kept == {cell for cell in cells if cell[2] != "lambda"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["decimals"]["cifar100"]["seconds"].pop(), "4 for 5 rows"),
        (lambda c: c["decimals"]["cifar100"].update(seconds=[1] * 5), "more than 1 decimals"),
        (lambda c: c.pop("time_ratios"), "'time_ratios'"),
    ],
)
def test_a_file_that_contradicts_itself_is_one_line(root: Path, change: Any, said: str) -> None:
    content = read_json(root / "paper/original.json")
    change(content)
    with pytest.raises(UserError, match=said) as caught:
        reported.parse(content, "original.json")
    assert str(caught.value).startswith("original.json: ")


def test_cifar_points_to_six_hundred(scan: pd.DataFrame, checked: pd.DataFrame) -> None:
    rows = scan[scan["dataset"] == "cifar100"]
    whole = rows[rows["fitting"] == 10]["denominator"]
    assert whole.tolist()[:5] == [600, 1200, 1800, 2400, 3000]
    row = pick(rows, denominator=600)
    assert "200 x 3" in row["sizes"]
    assert row["distinct"] == 9
    # 600 of the 10,000 numbers fit; ties would add some, but 600 has none.
    assert row["chance"] == pytest.approx(0.06**9)
    assert row["chance_any"] == pytest.approx(
        sum((n / 10_000) ** 9 for n in range(1, 601)), rel=0.1
    )
    # The full test split excludes nothing.
    assert pick(rows, denominator=30_000)["chance"] == 1
    assert pick(checked, check="test_size", dataset="cifar100")["value"] == 200


def test_breast_cancer_has_one_number_that_is_none_of_342(
    means: pd.DataFrame, checked: pd.DataFrame
) -> None:
    row = pick(means, dataset="breast_cancer", n_test=114, runs=3)
    assert (row["values"], row["fitting"], row["all_fit"]) == (6, 4, 0)
    assert row["misfits"] == "0.5859"
    assert (row["half_up"], row["half_even"]) == (4, 4)
    p = 343 / 10_001
    assert row["chance"] == pytest.approx(3 * p**2 * (1 - p) + p**3, rel=0.01)
    place = {"dataset": "breast_cancer", "column": "test_accuracy"}
    counts = [
        pick(checked, check="count", **place, **{"lambda": lam}) for lam in ("0", "0.001", "0.01")
    ]
    assert [c["value"] for c in counts] == [190, 191, 200]
    assert [c["consistent"] for c in counts] == [1, 1, 0]
    # 0.5859 of 342 is 200.38, and 200/342 prints as 0.5848.
    assert counts[2]["images"] == pytest.approx(0.5859 * 342 - 200)
    # No supposed test set gives all three numbers in up to five runs.
    rows = means[means["dataset"] == "breast_cancer"]
    assert {113, 114, 142, 143, 170, 171} <= set(rows["n_test"])
    assert not rows["all_fit"].any()
    counted = checked[(checked["check"] == "sizes") & (checked["dataset"] == "breast_cancer")]
    assert pick(counted, against="fit all values")["value"] == 0
    assert pick(counted, against="tried")["value"] == rows["denominator"].nunique()


def test_each_test_set_by_exact_decimals(means: pd.DataFrame, original: Original) -> None:
    """Every row of the smallest data set, by printing all its fractions."""
    values = [str(value.printed) for value in original.accuracies("breast_cancer")]
    rows = means[(means["dataset"] == "breast_cancer") & (means["denominator"] < 400)]
    assert len(rows) > 10
    for _, row in rows.iterrows():
        size = row["denominator"]
        fitting, printable = {}, set()
        for name, how in (("half_up", ROUND_HALF_UP), ("half_even", ROUND_HALF_EVEN)):
            written = {str(prints(k, size, 4, how)) for k in range(size + 1)}
            fitting[name] = [value in written for value in values]
            assert row[name] == sum(fitting[name])
            printable |= written
        assert row["fitting"] == sum(np.logical_or(*fitting.values()))
        assert row["share"] == pytest.approx(len(printable - {"1.0000"}) / 10_000)


def test_newsgroups_says_nothing_of_its_test_set(scan: pd.DataFrame, checked: pd.DataFrame) -> None:
    row = pick(scan, dataset="newsgroups20", denominator=3 * 7532)
    assert (row["fitting"], row["chance"]) == (10, 1)
    assert pick(checked, check="test_size", dataset="newsgroups20")["value"] == 7532
    # 0.0534 and 0.0535 side by side need steps below 2e-4.
    rows = scan[(scan["dataset"] == "newsgroups20") & (scan["fitting"] == 10)]
    assert rows["denominator"].min() > 5000


def test_sizes_are_those_that_people_take(manifests: dict[str, dict[str, Any]]) -> None:
    posts = denominators.test_sizes(manifests["newsgroups20"])
    assert posts[7532].startswith("test split")
    assert "1/5 of all examples" in posts[3770] or "1/5 of all examples" in posts[3769]
    pictures = denominators.test_sizes(manifests["cifar100"])
    assert {50, 100, 200, 500, 1000, 2000, 5000, 10_000} <= set(pictures)
    assert max(denominators.test_sizes(manifests["breast_cancer"])) == 569


def test_standard_errors_and_differences_by_hand(checked: pd.DataFrame) -> None:
    place = {"dataset": "cifar100", "column": "test_accuracy", "n_test": 200}
    one = pick(checked, check="standard_error", runs=1, **place, **{"lambda": "0"})
    assert one["value"] == pytest.approx((0.2633 * 0.7367 / 200) ** 0.5)
    three = pick(checked, check="standard_error", runs=3, **place, **{"lambda": "0"})
    assert one["value"] / three["value"] == pytest.approx(3**0.5)
    row = pick(checked, check="difference", **place, **{"lambda": "0.01"})
    assert round(row["images"]) == 4
    error = ((0.2633 * 0.7367 + 0.27 * 0.73) / 600) ** 0.5
    assert row["standard_errors"] == pytest.approx(0.0067 / error)
    assert row["consistent"] == 1


def test_constant_predictions_by_hand(checked: pd.DataFrame) -> None:
    majority = checked[checked["check"] == "majority"]
    place = {"dataset": "newsgroups20", "column": "test_accuracy"}
    printed = {lam: pick(majority, **place, **{"lambda": lam}) for lam in ("0", "0.1", "1")}
    assert printed["0"]["value"] == pytest.approx(399 / 7532)
    assert [row["consistent"] for row in printed.values()] == [0, 1, 1]
    assert printed["0"]["images"] == pytest.approx(0.0535 * 7532 - 399)
    place = {"dataset": "breast_cancer", "column": "test_accuracy", "lambda": "0"}
    mixed = pick(checked, check="constants", **place)
    assert mixed["value"] == pytest.approx((72 + 72 + 42) / 342)
    assert round(mixed["images"]) == 4
    assert mixed["consistent"] == 0


def test_guessing_is_binomial(checked: pd.DataFrame) -> None:
    place = {"dataset": "newsgroups20", "column": "test_accuracy", "lambda": "0"}
    for runs, consistent in ((1, 1), (3, 0)):
        row = pick(checked, check="chance", runs=runs, **place)
        low, high = round(row["low"] * 7532 * runs), round(row["high"] * 7532 * runs)
        chances = stats.binom(7532 * runs, 0.05)
        assert chances.cdf(low - 1) <= 0.025 < chances.cdf(low)
        assert chances.sf(high) <= 0.025 < chances.sf(high - 1)
        assert row["consistent"] == consistent


def test_triples_are_all_there_are(triples: pd.DataFrame) -> None:
    tables.check(triples, TRIPLES_TABLE, "triples")
    expected = {}
    for first in range(115):
        for second in range(first, 115):
            third = 190 - first - second
            if second <= third <= 114:
                shares = [c / 114 for c in (first, second, third)]
                which = [f"{sd(shares):.2f}" == "0.24" for sd in (stdev, pstdev)]
                if any(which):
                    expected[first, second, third] = which
    found = {
        (row["first"], row["second"], row["third"]): [
            bool(row["prints_sample"]),
            bool(row["prints_population"]),
        ]
        for _, row in triples.iterrows()
    }
    assert found == expected
    held = triples[triples["constants"] > 0]
    assert sorted(held["first"]) == [26, 27, 33, 42, 42]


def test_triples_of_a_small_set_by_hand() -> None:
    assert deviations.triples(4, 3).tolist() == [[0, 1, 3], [0, 2, 2], [1, 1, 2]]


def test_the_spread_between_runs_by_hand(checked: pd.DataFrame) -> None:
    row = pick(checked, check="spread")
    assert row["value"] == pytest.approx((0.5556 * 0.4444 / 114) ** 0.5)
    # With two degrees of freedom the tail of chi squared is exp(-x / 2).
    assert row["chance"] == pytest.approx(np.exp(-((0.24 / row["value"]) ** 2)))
    mean = pick(checked, check="interval")
    # Student's 97.5 % quantile with two degrees of freedom, from a table.
    assert mean["high"] - 0.5556 == pytest.approx(4.3027 * 0.24 / 3**0.5, rel=1e-4)


def test_ratios_are_of_the_smallest_lambda(checked: pd.DataFrame) -> None:
    ratios = checked[checked["check"] == "time_ratio"]
    consistent = ratios[(ratios["consistent"] == 1) & (ratios["lambda"] != "all")]
    found = {name: list(rows["lambda"]) for name, rows in consistent.groupby("dataset")}
    assert found["cifar100"] == ["0.001"]
    assert found["breast_cancer"] == ["0.001"]
    assert found["newsgroups20"] == ["0.001", "0.01", "0.1", "1"]
    row = pick(ratios, dataset="cifar100", **{"lambda": "0.01"})
    assert row["value"] == pytest.approx(float(Fraction(243353, 6085)))


def test_seconds_of_steps_by_hand(checked: pd.DataFrame) -> None:
    place = {"dataset": "cifar100", "lambda": "0"}
    assert pick(checked, check="epoch", **place)["value"] == pytest.approx(6.085)
    # 50,000 pictures are 390 batches of 128 and a rest.
    assert pick(checked, check="step", **place)["value"] == pytest.approx(6.085 / 391)
    posts = pick(checked, check="epoch", dataset="newsgroups20", **{"lambda": "0"})
    assert (posts["low"], posts["high"]) == pytest.approx((556.4 / 50, 556.4 / 20))
    assert np.isnan(posts["value"])
    added = pick(checked, check="application", dataset="cifar100", **{"lambda": "0.01"})
    assert added["value"] == pytest.approx(10 * (2433.53 - 60.85) / 60.85)


def test_a_mean_over_batches_has_its_own_denominator(checked: pd.DataFrame) -> None:
    rows = checked[(checked["check"] == "batch_means") & (checked["dataset"] == "breast_cancer")]
    # 114 = 32 + 32 + 32 + 18: a / 128 + d / 72, three runs.
    assert set(rows["value"]) == {3456}
    sums = {Fraction(a, 128) + Fraction(d, 72) for a in range(97) for d in range(19)}
    assert all((total * 1152).denominator == 1 for total in sums)
