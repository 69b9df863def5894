"""The GRIM test: which printed means can come from whole counts.

A mean of `runs` accuracies on `n_test` examples is a whole number divided by n_test * runs, so only
some of the numbers with a few decimals are possible. How a fraction is printed depends on the
rounding: half up, half to even, or truncated.

References:
    N. J. L. Brown, J. A. J. Heathers. The GRIM test: a simple technique detects numerous anomalies
    in the reporting of results in psychology. 2017. doi:10.1177/1948550616673876.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flatreg.forensics.reported import Printed

# (numerators [...], denominators [...], printed number) -> which fractions print as it [...].
Rule = Callable[[np.ndarray, np.ndarray, Printed], np.ndarray]


def half_up(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions print as the number if ties round up."""
    offset = _offset(numerators, denominators, printed)
    return (-denominators <= offset) & (offset < denominators)


def half_even(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions print as the number if ties round to the even digit."""
    offset = np.abs(_offset(numerators, denominators, printed))
    return (offset < denominators) | ((offset == denominators) & (printed.digits % 2 == 0))


def rounded(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions print as the number under either rounding of ties."""
    return half_up(numerators, denominators, printed) | half_even(numerators, denominators, printed)


def truncated(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Which fractions (none below 0) print as the number if further digits are cut off."""
    offset = _offset(numerators, denominators, printed)
    return (offset >= 0) & (offset < 2 * denominators)


def fits(printed: Printed, denominators: np.ndarray, rule: Rule) -> np.ndarray:
    """Which denominators [n] have a whole numerator whose fraction prints as the number.

    The fractions that print as the number form an interval around it. If a numerator lies in it,
    so does one of the two numerators next to its middle.
    """
    below = printed.digits * denominators // 10**printed.decimals
    return rule(below, denominators, printed) | rule(below + 1, denominators, printed)


def nearest_numerator(printed: Printed, denominators: np.ndarray) -> np.ndarray:
    """The whole numerators [n] whose fractions are nearest to the printed number."""
    scale = 10**printed.decimals
    return (2 * printed.digits * denominators + scale) // (2 * scale)


def pass_share(denominators: np.ndarray, decimals: int) -> np.ndarray:
    """The share [n] of the numbers in [0, 1) with so many decimals that fit each denominator.

    For a denominator N it is N / 10^decimals, and 1 from N = 10^decimals on, as in Brown and
    Heathers; ties, which can print as two numbers, add a few.
    """
    scale = 10**decimals
    shares = np.ones(len(denominators))
    for place in np.flatnonzero(denominators < scale):
        shares[place] = (denominators[place] + _second_prints(int(denominators[place]), scale)) / (
            scale
        )
    return shares


def chance_of_fits(shares: Sequence[np.ndarray]) -> np.ndarray:
    """The probability that at least k of m independent random numbers fit.

    Args:
        shares: m arrays [n], the probability that each number fits each denominator.

    Returns:
        [m + 1, n]; row k is the probability that k or more fit, the upper tail of a Poisson
        binomial distribution.
    """
    masses = [np.ones_like(shares[0])]
    for share in shares:
        stay = [mass * (1 - share) for mass in masses] + [np.zeros_like(share)]
        rise = [np.zeros_like(share)] + [mass * share for mass in masses]
        masses = [a + b for a, b in zip(stay, rise, strict=True)]
    return np.clip(np.cumsum(masses[::-1], axis=0)[::-1], 0, 1)


def _offset(numerators: np.ndarray, denominators: np.ndarray, printed: Printed) -> np.ndarray:
    """Fraction minus printed number, in units of half a last digit over the denominator."""
    return 2 * (numerators * 10**printed.decimals - printed.digits * denominators)


def _second_prints(denominator: int, scale: int) -> int:
    """Number of fractions in [0, 1) that can print as two numbers: ties after an even digit."""
    digits, rest = np.divmod(np.arange(denominator, dtype=np.int64) * scale, denominator)
    return int(np.count_nonzero((2 * rest == denominator) & (digits % 2 == 0)))
