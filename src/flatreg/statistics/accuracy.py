"""What a finite test set leaves open of an accuracy: apart from the spread over seeds.

The interval is of one trained model's accuracy on all examples of which the test set is a sample.
How far another seed's model is from it, it does not say.

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

    Of the usual ones: Wald's is empty at accuracy 1 and covers too little near it, where Breast
    Cancer's are; Clopper and Pearson's always covers more than it says; Wilson's covers 1 - alpha
    on average and is what Brown et al. advise.

    Args:
        correct: examples that are right.
        examples: of the test set, above 0.
        alpha: the interval covers 1 - alpha.
    """
    low, high = proportion_confint(correct, examples, alpha, method="wilson")
    return Interval(correct / examples, float(low), float(high), None)


def sampling_sd(accuracy: float, examples: int) -> float:
    """Standard deviation of an accuracy over test sets of that size (binomial)."""
    return float(np.sqrt(accuracy * (1 - accuracy) / examples))
