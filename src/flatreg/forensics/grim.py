"""The GRIM test: which printed means can come from whole counts.

A mean of `runs` accuracies on `n_test` examples is a whole number over n_test * runs, so of all
numbers with a few decimals only some can be printed. What is printed of a fraction depends on how
it is rounded: half up, half to even, or cut off.

References:
    N. J. L. Brown, J. A. J. Heathers. The GRIM test: a simple technique detects numerous anomalies
    in the reporting of results in psychology. 2017. doi:10.1177/1948550616673876.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flatreg.forensics.reported import Printed

# Numerators and denominators [...] and a printed number -> which fractions print so [...].
Rule = Callable[[np.ndarray, np.ndarray, Printed], np.ndarray]


def half_up(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions print so where a tie goes up."""
    offset = _offset(numerators, denominators, printed)
    return (-denominators <= offset) & (offset < denominators)


def half_even(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions print so where a tie goes to the even last digit."""
    offset = np.abs(_offset(numerators, denominators, printed))
    return (offset < denominators) | ((offset == denominators) & (printed.digits % 2 == 0))


def rounded(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions print so under either way to round a tie."""
    return half_up(numerators, denominators, printed) | half_even(numerators, denominators, printed)


def truncated(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions, none below 0, print so where further digits are cut off."""
    offset = _offset(numerators, denominators, printed)
    return (offset >= 0) & (offset < 2 * denominators)


def fits(printed: Printed, denominators: np.ndarray, rule: Rule) -> np.ndarray:
    """Which denominators [n] have a whole numerator that prints so.

    The numbers that print so are an interval around the printed one: if there is a numerator in
    it, then one of the two next to the middle is.
    """
    below = printed.digits * denominators // 10**printed.decimals
    return rule(below, denominators, printed) | rule(below + 1, denominators, printed)


def nearest_numerator(printed: Printed, denominators: np.ndarray) -> np.ndarray:
    """The whole numerators [n] whose fractions are nearest to the printed number."""
    scale = 10**printed.decimals
    return (2 * printed.digits * denominators + scale) // (2 * scale)


def pass_share(denominators: np.ndarray, decimals: int) -> np.ndarray:
    """The share [n] of all numbers of [0, 1) with so many decimals that fit a denominator.

    It is N / 10^decimals, and 1 from N = 10^decimals on, as in Brown and Heathers; ties, which
    print as either of two numbers, add a few.
    """
    scale = 10**decimals
    shares = np.ones(len(denominators))
    for place in np.flatnonzero(denominators < scale):
        shares[place] = (denominators[place] + _second_prints(int(denominators[place]), scale)) / (
            scale
        )
    return shares


def chance_of_fits(shares: Sequence[np.ndarray]) -> np.ndarray:
    """The chance that at least so many of independent random numbers fit.

    Args:
        shares: m arrays [n], the chance of each number to fit each denominator.

    Returns:
        [m + 1, n], row k the chance that k or more fit: the upper tail of a Poisson binomial.
    """
    masses = [np.ones_like(shares[0])]
    for share in shares:
        stay = [mass * (1 - share) for mass in masses] + [np.zeros_like(share)]
        rise = [np.zeros_like(share)] + [mass * share for mass in masses]
        masses = [a + b for a, b in zip(stay, rise, strict=True)]
    return np.clip(np.cumsum(masses[::-1], axis=0)[::-1], 0, 1)


def _offset(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Fraction minus printed number, in units of half the last digit over the denominator."""
    return 2 * (numerators * 10**printed.decimals - printed.digits * denominators)


def _second_prints(denominator: int, scale: int) -> int:
    """Fractions of [0, 1) that print as two numbers: ties with an even digit before them."""
    digits, rest = np.divmod(np.arange(denominator, dtype=np.int64) * scale, denominator)
    return int(np.count_nonzero((2 * rest == denominator) & (digits % 2 == 0)))
