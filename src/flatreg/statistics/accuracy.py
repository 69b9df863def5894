"""The uncertainty of an accuracy that comes from the finite test set.

The interval is for the accuracy of one trained model on the population that the test set samples.
It does not cover the spread over seeds.

References:
    E. B. Wilson. Probable inference, the law of succession, and statistical inference. 1927.
    doi:10.1080/01621459.1927.10502953.
    L. D. Brown, T. T. Cai, A. DasGupta. Interval estimation for a binomial proportion. 2001.
    doi:10.1214/ss/1009213286.
"""

from __future__ import annotations

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from flatreg.statistics.bootstrap import Interval


def accuracy_interval(correct: int, examples: int, alpha: float) -> Interval:
    """Wilson's interval of an accuracy.

    Wald's interval has no width at accuracy 1 and covers too little near it, where the accuracies
    on Breast Cancer are. Clopper and Pearson's always covers more than stated. Wilson's covers
    1 - alpha on average and is the one that Brown et al. recommend.

    Args:
        correct: number of test examples classified correctly.
        examples: size of the test set, above 0.
        alpha: the interval covers 1 - alpha.
    """
    low, high = proportion_confint(correct, examples, alpha, method="wilson")
    return Interval(correct / examples, float(low), float(high), None)


def sampling_sd(accuracy: float, examples: int) -> float:
    """Binomial standard deviation of an accuracy over test sets of `examples` examples."""
    return float(np.sqrt(accuracy * (1 - accuracy) / examples))
