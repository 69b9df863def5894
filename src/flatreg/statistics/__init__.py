"""The statistics of the study, by scipy and statsmodels; a number that cannot be had is NaN.

Every result has a note where a number is missing or is not what its name promises. What draws
random numbers takes a generator.

    samples         mean, spread and interval of one sample
    two_samples     Student, Welch and paired t-tests at once, Hedges' g
    one_sample      differences over shared seeds, ratios: t, Wilcoxon, signs
    equivalence     two one-sided tests against a margin
    power           what a number of runs can show, and how many are needed
    multiplicity    Holm's adjustment
    bootstrap       BCa interval of any statistic
    spread          two standard deviations
    trend           Page, Jonckheere and Terpstra
    aggregate       interquartile mean, probability of improvement
    accuracy        what a finite test set leaves open
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
    "sampling_sd",
    "standard_deviation",
    "summarize",
]
