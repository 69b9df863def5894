"""The GRIM test, against published examples and exhaustive counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from flatreg.forensics import grim
from flatreg.forensics.reported import Printed
from tests.forensics.helpers import ROUNDINGS, fits, prints


@pytest.mark.parametrize(
    ("mean", "size", "consistent"),
    [
        # The example data of the R package scrutiny, with what its grim_map() says of them.
        ("7.22", 32, True),
        ("4.74", 25, False),
        ("5.23", 29, False),
        ("2.57", 24, False),
        ("6.77", 27, False),
        ("2.68", 28, True),
        ("7.01", 29, False),
        ("7.38", 26, True),
        ("3.14", 27, False),
        ("6.89", 31, False),
        ("5.00", 25, True),
        ("0.24", 28, False),
        ("5.27", 43, False),
        # A die rolled 20 times; 49 answers on a scale from one to seven.
        ("3.48", 20, False),
        ("5.93", 49, False),
        # By hand: 1/8 = 0.125 is a tie, printed as 0.13 or 0.12; 3/8 = 0.375 as 0.38 by both.
        ("0.13", 8, True),
        ("0.12", 8, True),
        ("0.38", 8, True),
        ("0.37", 8, False),
    ],
)
def test_published_examples(mean: str, size: int, consistent: bool) -> None:
    assert fits(mean, size) is consistent


def test_ties_by_hand() -> None:
    assert fits("0.13", 8, grim.half_up)
    assert not fits("0.12", 8, grim.half_up)
    assert fits("0.12", 8, grim.half_even)
    assert not fits("0.13", 8, grim.half_even)
    assert fits("0.37", 8, grim.truncated)
    assert not fits("0.38", 8, grim.truncated)


@given(
    counts=st.lists(st.integers(0, 3000), min_size=1, max_size=5),
    spare=st.integers(0, 500),
    decimals=st.integers(1, 4),
)
@settings(deadline=None)
def test_what_comes_from_whole_counts_always_fits(
    counts: list[int], spare: int, decimals: int
) -> None:
    total, denominator = sum(counts), (max(counts) + spare + 1) * len(counts)
    for rule, how in ROUNDINGS.items():
        printed = prints(total, denominator, decimals, how)
        assert grim.fits(printed, np.array([denominator]), rule)[0]


@given(denominator=st.integers(1, 120), digits=st.integers(0, 100))
@settings(deadline=None)
def test_fits_only_what_some_count_prints(denominator: int, digits: int) -> None:
    printed = Printed(digits, 2)
    for rule, how in ROUNDINGS.items():
        possible = {prints(k, denominator, 2, how) for k in range(denominator + 2)}
        assert grim.fits(printed, np.array([denominator]), rule)[0] == (printed in possible)


@pytest.mark.parametrize("denominator", [1, 3, 8, 16, 40, 57, 99, 100, 101, 200])
def test_share_that_passes_is_the_share_of_printed_numbers(denominator: int) -> None:
    numbers = [Printed(digits, 2) for digits in range(100)]
    passing = [grim.fits(n, np.array([denominator]), grim.rounded)[0] for n in numbers]
    assert grim.pass_share(np.array([denominator]), 2)[0] == pytest.approx(np.mean(passing))


def test_with_ten_thousand_and_four_decimals_everything_fits() -> None:
    assert all(
        grim.fits(Printed(digits, 4), np.array([size]), grim.half_up)[0]
        for size in (10_000, 30_000)
        for digits in range(0, 10_001, 7)
    )
    assert list(grim.pass_share(np.array([342, 600, 10_000, 30_000]), 4)) == pytest.approx(
        [0.0342, 0.06, 1, 1], abs=1e-3
    )


def test_chance_of_fits_is_a_binomial_tail_and_adds_up() -> None:
    tails = grim.chance_of_fits([np.array([0.06])] * 9)[:, 0]
    np.testing.assert_allclose(tails, stats.binom.sf(np.arange(-1, 9), 9, 0.06), rtol=1e-9)
    uneven = grim.chance_of_fits([np.array([0.5]), np.array([0.25])])[:, 0]
    np.testing.assert_allclose(uneven, [1, 0.625, 0.125])


def test_nearest_numerator() -> None:
    sizes = np.array([342, 600])
    assert grim.nearest_numerator(Printed(5556, 4), sizes).tolist() == [190, 333]
    assert grim.nearest_numerator(Printed(2633, 4), sizes).tolist() == [90, 158]
