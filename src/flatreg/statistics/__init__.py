"""The statistics of the study, computed with scipy and statsmodels.

A number that cannot be computed is NaN. The `note` of a result says why a number is missing, or how
it differs from what its name promises. Functions that draw random numbers take a generator.

    samples         mean, spread and interval of one sample
    two_samples     Student's, Welch's and paired t-tests, Hedges' g
    one_sample      differences over shared seeds, ratios: t, Wilcoxon and sign tests
    equivalence     two one-sided tests against a margin
    power           what a number of runs can show, and how many are needed
    multiplicity    Holm's adjustment
    bootstrap       BCa interval of any statistic
    ratio           ratio of two paired means
    spread          comparison of two standard deviations
    trend           tests of Page and of Jonckheere and Terpstra
    aggregate       interquartile mean, probability of improvement
    accuracy        uncertainty that comes from the finite test set
"""

from __future__ import annotations

from flatreg.statistics.accuracy import accuracy_interval, sampling_sd
from flatreg.statistics.aggregate import interquartile_mean, probability_of_improvement
from flatreg.statistics.bootstrap import Interval, bca_interval
from flatreg.statistics.equivalence import (
    Equivalence,
    equivalence_of_mean,
    equivalence_of_ratio,
    equivalence_paired,
    equivalence_welch,
)
from flatreg.statistics.multiplicity import holm
from flatreg.statistics.one_sample import (
    MeanComparison,
    compare_mean,
    compare_paired,
    compare_ratio,
    hedges_g_paired,
)
from flatreg.statistics.power import (
    detectable_effect,
    detectable_mean,
    equivalence_power,
    propose_runs,
)
from flatreg.statistics.ratio import ratio_of_means
from flatreg.statistics.samples import Summary, agree, summarize
from flatreg.statistics.spread import SpreadComparison, compare_spread, standard_deviation
from flatreg.statistics.trend import Trend, jonckheere_terpstra, page_trend, rank_correlations
from flatreg.statistics.two_samples import Comparison, compare, hedges_g

__all__ = [
    "Comparison",
    "Equivalence",
    "Interval",
    "MeanComparison",
    "SpreadComparison",
    "Summary",
    "Trend",
    "accuracy_interval",
    "agree",
    "bca_interval",
    "compare",
    "compare_mean",
    "compare_paired",
    "compare_ratio",
    "compare_spread",
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
    "jonckheere_terpstra",
    "page_trend",
    "probability_of_improvement",
    "propose_runs",
    "rank_correlations",
    "ratio_of_means",
    "sampling_sd",
    "standard_deviation",
    "summarize",
]
