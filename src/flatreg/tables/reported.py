"""Tables of what the original's reported numbers can come from: their columns, with units."""

from __future__ import annotations

from flatreg.tables.schema import count, number, share, table, text

_REPORTED = {
    "dataset": text("data set"),
    "lambda": text("lambda, or all"),
    "column": text("column of the original's table, or all"),
}
# One row per data set, size of the test set and number of runs.
GRIM_TABLE = table(
    {
        "dataset": text("data set"),
        "n_test": count("examples of the supposed test set"),
        "runs": count("supposed runs that each number is the mean of"),
        "split": text("which test set has that size"),
        "denominator": count("n_test times runs"),
        "values": count("reported accuracies"),
        "fitting": count("how many of them some count prints, a tie rounded either way"),
        "misfits": text("the numbers that none prints", nullable=True),
        "all_fit": count("1 if all fit, else 0"),
        "half_up": count("how many fit with ties rounded up"),
        "half_even": count("how many fit with ties rounded to the even digit"),
        "truncated": count("how many fit with further digits cut off"),
        "distinct": count("different numbers among the values"),
        "distinct_fitting": count("how many of these fit"),
        "share": share("share of all numbers with as many decimals that fit, mean over distinct"),
        "chance": share("chance that of as many random numbers as distinct no fewer fit"),
        "chance_any": share("bound on the chance that some denominator up to this one does so"),
    },
    unique=["dataset", "n_test", "runs"],
)
# One row per data set and denominator.
GRIM_DENOMINATORS_TABLE = table(
    {
        "dataset": text("data set"),
        "denominator": count("examples of the test set times runs"),
        "sizes": text("the supposed test sets x runs with that product", nullable=True),
        "values": count("reported accuracies"),
        "fitting": count("how many of them fit"),
        "misfits": text("the numbers that do not", nullable=True),
        "distinct": count("different numbers among them"),
        "distinct_fitting": count("how many of these fit"),
        "chance": share("chance that of as many random numbers no fewer fit"),
        "chance_any": share("bound on the chance that some denominator up to this one does so"),
    },
    unique=["dataset", "denominator"],
)
# One row per check, reported number and what the number is compared with.
CHECKS_TABLE = table(
    {
        "check": text("name of the check"),
        **_REPORTED,
        "against": text("what the number is held against"),
        "n_test": count("examples of the supposed test set", nullable=True),
        "runs": count("runs that the number is the mean of", nullable=True),
        "unit": text("unit of reported, value, low, high and difference"),
        "reported": number("the reported number"),
        "value": number("what it is held against, or what it implies"),
        "low": number("lower end of what would be consistent, or of what it implies"),
        "high": number("upper end of it"),
        "difference": number("reported minus value"),
        "images": number("the difference in test examples, summed over the runs"),
        "standard_errors": number("the difference in binomial standard errors"),
        "consistent": count("1 if the reported number can come from it, else 0", nullable=True),
        "chance": share("chance that a random number would be consistent"),
    },
    unique=["check", "dataset", "lambda", "column", "against", "n_test", "runs"],
)
# One row per set of three counts that print as the reported mean and, by either formula, as the
# reported standard deviation.
TRIPLES_TABLE = table(
    {
        **_REPORTED,
        "n_test": count("examples of the test set"),
        "first": count("right answers of the worst run"),
        "second": count("of the middle one"),
        "third": count("of the best one"),
        "mean": number("mean accuracy"),
        "sample_sd": number("standard deviation of the accuracies (n - 1)", least=0),
        "population_sd": number("the same (n)", least=0),
        "prints_sample": count("1 if the sample formula prints as reported"),
        "prints_population": count("1 if the population formula does"),
        "constants": count("how many of the three are a constant prediction's count"),
        "distance": number("of the nearer of the matching formulas to the reported sd", least=0),
    },
    unique=["dataset", "lambda", "column", "n_test", "first", "second", "third"],
)
