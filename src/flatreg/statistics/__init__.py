"""The statistics of the study, computed with scipy and statsmodels.

A number that cannot be computed is NaN. The `note` of a result says why a number is missing, or how
it differs from what its name promises. Functions that draw random numbers take a generator.

    samples         mean, spread and interval of one sample
    two_samples     Student's, Welch's and paired t-tests, Hedges' g
    one_sample      differences over shared seeds, ratios: t, Wilcoxon and sign tests
    margin          a mean or a ratio against a margin, overlapping splits included
    correlations    the mean of correlations against 0 and against a margin
    equivalence     two one-sided tests against a margin
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
from flatreg.statistics.equivalence import (
    Equivalence,
    equivalence_of_mean,
    equivalence_of_ratio,
    equivalence_paired,
    equivalence_welch,
)
from flatreg.statistics.margin import MarginTest, margin_test, ratio_margin_test
from flatreg.statistics.multiplicity import holm, shaffer
from flatreg.statistics.one_sample import (
    MeanComparison,
    compare_mean,
    compare_paired,
    compare_ratio,
    hedges_g_paired,
)
from flatreg.statistics.power import (
    Design,
    detectable,
    detectable_effect,
    detectable_mean,
    equivalence_power,
    power_above,
    power_not_above,
    power_within,
    propose_runs,
    seeds_needed,
)
from flatreg.statistics.ratio import ratio_of_means
from flatreg.statistics.samples import Summary, agree, summarize
from flatreg.statistics.spread import (
    SpreadComparison,
    compare_spread,
    spread_margin_test,
    spread_power,
    standard_deviation,
)
from flatreg.statistics.trend import PageTest, page_test, rank_correlations
from flatreg.statistics.two_samples import Comparison, compare, hedges_g

__all__ = [
    "Comparison",
    "Design",
    "Equivalence",
    "Interval",
    "MarginTest",
    "MeanComparison",
    "MeanCorrelation",
    "PageTest",
    "SpreadComparison",
    "Summary",
    "accuracy_interval",
    "agree",
    "bca_interval",
    "compare",
    "compare_mean",
    "compare_paired",
    "compare_ratio",
    "compare_spread",
    "correlation_margin_test",
    "detectable",
    "detectable_effect",
    "detectable_mean",
    "equivalence_of_mean",
    "equivalence_of_ratio",
    "equivalence_paired",
    "equivalence_power",
    "equivalence_welch",
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
    "propose_runs",
    "rank_correlations",
    "ratio_margin_test",
    "ratio_of_means",
    "sampling_sd",
    "seeds_needed",
    "shaffer",
    "spread_margin_test",
    "spread_power",
    "standard_deviation",
    "summarize",
]
