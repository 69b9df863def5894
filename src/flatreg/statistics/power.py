r"""Power: what a number of runs can show against a margin, and how many runs an answer needs.

The tests are those of `flatreg.statistics.margin` for n values with the true mean mu, all at one
level alpha. With se = sd sqrt(1/n + overlap), S the sample's standard deviation over the true one,
(n - 1) S^2 chi-squared, Z standard normal and c the t quantile of alpha:

    above:      P((Z + delta) / S > c),    delta = (mu - margin) / se     (noncentral t)
    not above:  the same with -delta
    within:     E max(0, Phi((margin - mu) / se - c S) - Phi(c S - (margin + mu) / se))

The last is the power of two one-sided tests (Phillips 1990) at any true mean.

References:
    D. B. Owen. A special case of a bivariate non-central t-distribution. 1965.
    doi:10.1093/biomet/52.3-4.437.
    K. F. Phillips. Power of the two one-sided tests procedure in bioequivalence. 1990.
    doi:10.1007/BF01063556.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import integrate, optimize, special, stats
from statsmodels.stats.power import TTestIndPower

from flatreg.statistics.margin import standard_error
from flatreg.statistics.samples import NAN

# More seeds than anyone will run: an answer that needs them is out of reach.
MOST_SEEDS = 100_000


class Design(NamedTuple):
    """What is given before the seeds are counted.

    Attributes:
        sd: standard deviation of the values, above 0.
        margin: above 0, in the unit of `sd`.
        alpha: level of each one-sided test: half the adjusted level of the outcome.
        overlap: n_test / n_train of random splits; see `flatreg.statistics.margin`.
    """

    sd: float
    margin: float
    alpha: float
    overlap: float = 0.0


@cache
def detectable_effect(n: int, m: int, alpha: float, power: float) -> float:
    """Smallest difference (in standard deviations) that a two-sided t-test finds with that power.

    Args:
        n: runs on one side; NaN is returned for fewer than two on either side.
        m: runs on the other side.
        alpha: level of the test.
        power: of the test.
    """
    if min(n, m) < 2:
        return NAN
    solve = TTestIndPower().solve_power
    return float(solve(nobs1=n, ratio=m / n, alpha=alpha, power=power, alternative="two-sided"))


def power_above(n: int, effect: float, design: Design) -> float:
    """Probability that n values with the true mean `effect` show a mean above the margin.

    By symmetry `-effect` gives the power to show a mean below it. NaN for fewer than two values.
    """
    return _one_sided(n, effect - design.margin, design)


def power_not_above(n: int, effect: float, design: Design) -> float:
    """Probability that n values with the true mean `effect` exclude a mean above the margin."""
    return _one_sided(n, design.margin - effect, design)


def power_within(n: int, effect: float, design: Design) -> float:
    """Probability that n values with the true mean `effect` show a mean within the margin."""
    if n < 2:
        return NAN
    error, critical = _error(n, design), stats.t.isf(design.alpha, n - 1)
    upper, lower = (design.margin - effect) / error, (design.margin + effect) / error

    def within(sd: float) -> float:
        return max(0.0, special.ndtr(upper - critical * sd) - special.ndtr(critical * sd - lower))

    return _mean_over_sd(within, n - 1, (upper + lower) / (2 * critical))


def detectable(n: int, design: Design, power: float) -> float:
    """Smallest true mean that n values show to be above the margin with that power.

    NaN for fewer than two values.
    """
    if n < 2:
        return NAN
    reach = design.sd
    while power_above(n, design.margin + reach, design) < power:
        reach *= 2
    beyond = optimize.brentq(
        lambda beyond: power_above(n, design.margin + beyond, design) - power, 0, reach
    )
    return float(design.margin + beyond)


def seeds_needed(
    power_of: Callable[[int, float, Design], float], effect: float, design: Design, power: float
) -> float:
    """Fewest values with which a test has that power.

    Args:
        power_of: `power_above`, `power_not_above` or `power_within`.
        effect: the true mean.
        design: see `Design`.
        power: of the test, below 1.

    Returns:
        A whole number, or infinity if `MOST_SEEDS` do not do: the effect is at the margin's end
        or on its other side, or splits overlap, which gives the standard error a floor.

    Raises:
        ValueError: an argument is not a number or out of range.
    """
    sd, margin, alpha, overlap = design
    if not (0 < sd < np.inf and margin > 0 and 0 < alpha < 1 and 0 < power < 1 and overlap >= 0):
        raise ValueError("sd must be finite and > 0, margin > 0, alpha and power between 0 and 1")
    enough = 2
    while power_of(enough, effect, design) < power:
        if enough == MOST_SEEDS:
            return float("inf")
        enough = min(2 * enough, MOST_SEEDS)
    # The power grows with n, so the answer lies between the last two doublings.
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        if power_of(middle, effect, design) < power:
            few = middle
        else:
            enough = middle
    return enough


def _one_sided(n: int, beyond: float, design: Design) -> float:
    """Power of a one-sided t test of a true mean that is `beyond` its threshold."""
    if n < 2:
        return NAN
    shift, critical = beyond / _error(n, design), stats.t.isf(design.alpha, n - 1)

    # The noncentral t distribution of scipy fails for two values and a small alpha.
    def rejects(sd: float) -> float:
        return float(special.ndtr(shift - critical * sd))

    # As a function of sd, `rejects` has its step there, about 1 / critical wide.
    return _mean_over_sd(rejects, n - 1, shift / critical)


def _error(n: int, design: Design) -> float:
    return standard_error(design.sd, n, design.overlap)


def _mean_over_sd(conditional: Callable[[float], float], df: int, bend: float) -> float:
    """Mean of a function of a normal sample's standard deviation over the true one.

    That ratio is distributed as chi / sqrt(df).

    Args:
        conditional: the function, bounded by 1.
        df: degrees of freedom of chi.
        bend: the ratio at which the function is least smooth; the integral is split there.
    """
    root = np.sqrt(df)
    start, end = (float(chi / root) for chi in (stats.chi.ppf(1e-12, df), stats.chi.isf(1e-12, df)))
    parts = pairwise([start, *(x for x in [bend] if start < x < end), end])

    def weighted(sd: float) -> float:
        return conditional(sd) * _chi_density(sd * root, df) * root

    return float(sum(integrate.quad(weighted, low, high, limit=200)[0] for low, high in parts))


def _chi_density(x: float, df: int) -> float:
    """Density of the chi distribution, which `stats.chi.pdf` takes 50 times as long to give."""
    constant = np.log(2) - 0.5 * np.log(2) * df - special.gammaln(0.5 * df)
    return float(np.exp(constant + special.xlogy(df - 1.0, x) - 0.5 * x**2))
