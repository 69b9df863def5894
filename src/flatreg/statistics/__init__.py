"""The statistics of the study, computed with scipy and statsmodels.

A number that cannot be computed is NaN. The `note` of a result says why a number is missing, or how
it differs from what its name promises. Functions that draw random numbers take a generator.

    samples         mean, spread and interval of one sample
    two_samples     Student's, Welch's and paired t-tests, Hedges' g
    pairs           Hedges' g and Wilcoxon's test of differences over shared seeds
    margin          a mean against a margin: one-sided tests, equivalence, overlapping splits
    correlations    the mean of correlations against 0 and against a margin
    power           what a number of runs can show, and how many are needed
    multiplicity    Holm's and Shaffer's adjustments
    bootstrap       BCa interval of any statistic
    ratio           ratio of two paired means
    spread          comparison of two standard deviations
    trend           Page's test, rank correlations
    aggregate       interquartile mean, probability of improvement
    accuracy        uncertainty that comes from the finite test set
"""

from __future__ import annotations

from flatreg.statistics.accuracy import accuracy_interval, sampling_sd
from flatreg.statistics.aggregate import interquartile_mean, probability_of_improvement
from flatreg.statistics.bootstrap import Interval, bca_interval
from flatreg.statistics.correlations import (
    MeanCorrelation,
    correlation_margin_test,
    mean_correlation,
)
from flatreg.statistics.margin import MarginTest, margin_test
from flatreg.statistics.multiplicity import holm, shaffer
from flatreg.statistics.pairs import hedges_g_paired, wilcoxon_p
from flatreg.statistics.power import (
    Design,
    detectable,
    detectable_effect,
    power_above,
    power_not_above,
    power_within,
    seeds_needed,
)
from flatreg.statistics.ratio import ratio_of_means
from flatreg.statistics.samples import Summary, agree, summarize
from flatreg.statistics.spread import (
    brown_forsythe_p,
    spread_margin_test,
    spread_power,
    standard_deviation,
)
from flatreg.statistics.trend import PageTest, page_test, rank_correlations
from flatreg.statistics.two_samples import Comparison, compare, hedges_g

__all__ = [
    "Comparison",
    "Design",
    "Interval",
    "MarginTest",
    "MeanCorrelation",
    "PageTest",
    "Summary",
    "accuracy_interval",
    "agree",
    "bca_interval",
    "brown_forsythe_p",
    "compare",
    "correlation_margin_test",
    "detectable",
    "detectable_effect",
    "hedges_g",
    "hedges_g_paired",
    "holm",
    "interquartile_mean",
    "margin_test",
    "mean_correlation",
    "page_test",
    "power_above",
    "power_not_above",
    "power_within",
    "probability_of_improvement",
    "rank_correlations",
    "ratio_of_means",
    "sampling_sd",
    "seeds_needed",
    "shaffer",
    "spread_margin_test",
    "spread_power",
    "standard_deviation",
    "summarize",
    "wilcoxon_p",
]
