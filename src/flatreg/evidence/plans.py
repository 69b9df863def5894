"""What a trial could have shown, and how many seeds would settle it, at the level of its test.

All numbers are in the unit in which the trial is tested: ratios by their logarithms, correlations
by Fisher's z. Each test is one-sided against an end of the margin, at `level`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from flatreg import statistics
from flatreg.statistics import Design
from flatreg.statistics.power import MOST_SEEDS

NAN = float("nan")


class MeanPlan(NamedTuple):
    """A test of the mean of one number per seed.

    Attributes:
        n: numbers.
        effect: their mean.
        sd: their standard deviation; not above 0 if there is none to plan with.
        margin: above 0.
        overlap: of the splits of one data set; see `flatreg.statistics.margin`.
    """

    n: int
    effect: float
    sd: float
    margin: float
    overlap: float = 0.0

    def power(self, level: float, *, equal: bool) -> float:
        """Power to show an effect of twice the margin; of equality, to show that there is none."""
        if not self.sd > 0:
            return NAN
        if equal:
            return statistics.power_within(self.n, 0.0, self._design(level))
        return statistics.power_above(self.n, 2 * self.margin, self._design(level))

    def detectable(self, level: float, power: float) -> float:
        """Smallest effect that is shown to be beyond the margin with this power."""
        if not self.sd > 0:
            return NAN
        return statistics.detectable(self.n, self._design(level), power)

    def seeds(self, level: float, power: float, *, expected: str) -> float:
        """Fewest seeds that settle the trial with this power, if the effect is as estimated.

        Infinity if no number will do, NaN if there is no spread to plan with.
        """
        if not self.sd > 0:
            return NAN
        effect = -self.effect if expected == "lower" else self.effect
        effect = abs(effect) if expected == "equal" else effect
        if effect > self.margin:
            power_of = statistics.power_above
        elif expected == "equal":
            power_of = statistics.power_within
        else:
            power_of = statistics.power_not_above
        return statistics.seeds_needed(power_of, effect, self._design(level), power)

    def _design(self, level: float) -> Design:
        return Design(self.sd, self.margin, level, self.overlap)


class SpreadPlan(NamedTuple):
    """A test of the ratio of two standard deviations.

    Attributes:
        n: numbers on one side.
        m: on the other.
        effect: logarithm of the ratio.
        margin: of it, above 0.
    """

    n: int
    m: int
    effect: float
    margin: float

    def power(self, level: float, *, equal: bool) -> float:
        """Power to show a ratio of twice the margin; of equality, a ratio of 1."""
        q = math.exp(self.margin)
        if not equal:
            return statistics.spread_power(self.n, self.m, q**2, q, level)
        both = (statistics.spread_power(*sizes, q, 1.0, level) for sizes in self._sides())
        return max(0.0, sum(both) - 1)

    def detectable(self, level: float, power: float) -> float:
        """Logarithm of the smallest ratio that is shown to be beyond the margin with this power."""
        if min(self.n, self.m) < 2:
            return NAN
        f = stats.f(self.n - 1, self.m - 1)
        return self.margin + float(np.log(f.isf(level) / f.isf(power))) / 2

    def seeds(self, level: float, power: float, *, expected: str) -> float:
        """As that of `MeanPlan`, with as many seeds on either side."""
        if not math.isfinite(self.effect):
            return NAN
        effect = -self.effect if expected == "lower" else self.effect
        effect = abs(effect) if expected == "equal" else effect
        distance = math.exp(abs(effect - self.margin))
        n = 2
        while statistics.spread_power(n, n, distance, 1.0, level) < power:
            n += 1 + n // 50
            if n > MOST_SEEDS:
                return math.inf
        return n

    def _sides(self) -> list[tuple[int, int]]:
        return [(self.n, self.m), (self.m, self.n)]


Plan = MeanPlan | SpreadPlan
