"""The tables of the evidence: their columns, with units. `flatreg.tables` reads and writes them."""

from __future__ import annotations

import pandera.pandas as pa

from flatreg.tables.results import CELL, RUN
from flatreg.tables.schema import count, number, share, table, text

# The outcomes of a claim, as `flatreg.evidence.judge` tells them.
SUPPORTED, REVERSED, NO_EFFECT = "supported", "reversed", "no effect of practical size"
EXCLUDED, UNDETERMINED, NOT_TESTABLE = (
    "claimed effect excluded",
    "undetermined",
    "not testable",
)
VERDICTS = [SUPPORTED, REVERSED, NO_EFFECT, EXCLUDED, UNDETERMINED, NOT_TESTABLE]
# Sides of the margin.
TAILS = ["above", "below"]
REGISTERED, EXPLORATORY = "yes", "exploratory"
# Families of claims whose p values are adjusted together; the trials under protocols that do not
# decide are one more, for the reader.
FAMILIES = ["primary", "secondary", "asked", "bookkeeping"]
ROBUSTNESS = "robustness"
# The side of a comparison that a run belongs to; "run" for a trend or a correlation.
SIDES = ["treated", "baseline", "run"]
_CELL = {name: text(f"{name} of the run") for name in CELL}
_RUN = _CELL | {"seed": count("seed of the run")}
# One row per claim and protocol.
CLAIMS_TABLE = table(
    {
        "claim": text("name of the claim in the ledger"),
        "protocol": text("protocol whose runs it is tried on"),
        "family": text("claims of one p adjustment", checks=pa.Check.isin([*FAMILIES, ROBUSTNESS])),
        "registered": text(
            "yes: its runs recorded this test of it before they were trained",
            checks=pa.Check.isin([REGISTERED, EXPLORATORY]),
        ),
        "statement": text("what the original says, or what is asked"),
        "said": text("where it says so, or why it is asked"),
        "reported": text("the original's own numbers for it", nullable=True),
        "dataset": text("data set, or several with blanks between"),
        "metric": text("what is compared; last_: of the last epoch"),
        "comparison": text("which runs are held against which"),
        "test": text("the test of a difference"),
        "expected": text("what the original expects: higher, lower or equal"),
        "unit": text("unit of the estimate"),
        "estimate": number("difference, ratio or correlation"),
        "low": number("lower end of its interval"),
        "high": number("upper end of it"),
        "largest": number("the value furthest from none over the runs, in the estimate's unit"),
        "effect": number("the estimate in standard deviations (Hedges' g), where it is a mean's"),
        "tail": text(
            "the side of the margin that p is about", checks=pa.Check.isin(TAILS), nullable=True
        ),
        "p": share("one-sided p: small if the effect is beyond the margin on that side"),
        "p_adjusted": share("adjusted over the claims of the family, and for both sides"),
        "check": text("the distribution-free check", nullable=True),
        "check_p": share("its two-sided p against no effect, not adjusted"),
        "margin": number("an effect within it counts as none", least=0),
        "margin_reason": text("why that much"),
        "equivalence_p": share("p of two one-sided tests: small if it is within the margin"),
        "equivalence_p_adjusted": share("adjusted like p"),
        "excluded_p": share("small if it is less than the margin in the claimed direction"),
        "excluded_p_adjusted": share("adjusted like p"),
        "power": share("power of the claim's test: for twice the margin, or for none if equal"),
        "detectable": number("smallest effect shown to be beyond the margin at the config's power"),
        "n": count("runs with a value on the treated side, or all runs"),
        "n_baseline": count("runs with a value on the other side", nullable=True),
        "diverged": count("runs of both sides that diverged"),
        "verdict": text("what follows", checks=pa.Check.isin(VERDICTS)),
        "settles": text("what would settle an undetermined one", nullable=True),
        "note": text("what a reader must know of it", nullable=True),
    },
    unique=["claim", "protocol"],
)
# One row per run behind each row of CLAIMS_TABLE.
CLAIM_RUNS_TABLE = table(
    {
        "claim": text("name of the claim in the ledger"),
        "protocol": text("protocol that it is tried under"),
        "side": text("which side of the comparison", checks=pa.Check.isin(SIDES)),
        "key": text("key of the run, as in metrics.csv"),
    },
)
# One row per run: the ledger that it registered.
REGISTRATIONS_TABLE = table(
    {
        **_RUN,
        "ledger": text("hash of the registered claims; none if no ledger was read", nullable=True),
        "path": text("path of the ledger", nullable=True),
        "commit": text("last commit of the ledger, if it was as committed", nullable=True),
    },
    unique=RUN,
)
# One row per claim of each ledger that a run registered.
REGISTERED_CLAIMS_TABLE = table(
    {
        "ledger": text("hash of the registered claims"),
        "claim": text("name of the claim"),
        "sha256": text("SHA-256 of the fields that fix its test"),
    },
    unique=["ledger", "claim"],
)
# One row per run and measure of flatness; diverged runs have none.
FLATNESS_TABLE = table(
    {
        **_RUN,
        "key": text("key of the run, as in metrics.csv"),
        "measure": text("name of the measure, a radius after its last underscore"),
        "value": number("its value on training examples"),
    },
    unique=[*RUN, "measure"],
)
# One row per scope, measure and target.
CORRELATIONS_TABLE = table(
    {
        "protocol": text("protocol whose runs are correlated, or all"),
        "dataset": text("data set whose runs are correlated, or all"),
        "measure": text("measure of flatness, or a rival explanation of the same target"),
        "kind": text("which of both", checks=pa.Check.isin(["flatness", "rival"])),
        "target": text(
            "what it should go with: test_accuracy, accuracy_gap or loss_gap; of the "
            "last epoch's parameters if `last_` stands before both"
        ),
        "n": count("runs with both values"),
        "diverged": count("runs that diverged, left out of n"),
        "tau": number("Kendall's rank correlation, jackknifed over seeds"),
        "low": number("lower end of its interval"),
        "high": number("upper end of it"),
        "p": share("its two-sided p, not adjusted"),
        "partial_tau": number("the same with protocol, data set and lambda held fixed"),
        "partial_low": number("lower end of its interval"),
        "partial_high": number("upper end of it"),
        "fit_tau": number("Kendall's partial correlation, training accuracy held fixed"),
        "fit_low": number("lower end of its interval"),
        "fit_high": number("upper end of it"),
        "granulated": number("granulated Kendall's coefficient (Jiang et al. 2020)"),
        "note": text("why a number is missing", nullable=True),
    },
    unique=["protocol", "dataset", "measure", "target"],
)
# One row per protocol and lambda above 0, over all data sets of the protocol.
OVERALL_TABLE = table(
    {
        "protocol": text("protocol of the runs"),
        "lambda": text("lambda of the runs"),
        "datasets": text("data sets with runs at this lambda and at 0"),
        "n": count("runs at this lambda"),
        "iqm": number("interquartile mean of test accuracies over their data set's at lambda 0"),
        "iqm_low": number("lower end of its stratified bootstrap interval"),
        "iqm_high": number("upper end of it"),
        "improvement": share("probability that a run is more accurate than one at lambda 0"),
        "improvement_low": share("lower end of its stratified bootstrap interval"),
        "improvement_high": share("upper end of it"),
        "note": text("why a number is missing", nullable=True),
    },
    unique=["protocol", "lambda"],
)
# One row per cell: the uncertainty from the size of the test set, and the spread over seeds.
TEST_SETS_TABLE = table(
    {
        **_CELL,
        "examples": count("examples of the test set", nullable=True),
        "n": count("runs with a value"),
        "mean": number("mean test accuracy over the runs"),
        "sd": number("standard deviation over the runs", least=0),
        "low": number("lower end of Wilson's interval of one accuracy like the mean"),
        "high": number("upper end of it"),
    },
    unique=list(_CELL),
)
# One row per data set, metric and cause of randomness; its column is called `source`.
VARIANCE_TABLE = table(
    {
        "dataset": text("data set"),
        "metric": text("column of metrics.csv"),
        "source": text("what alone varies from run to run; all: everything a seed fixes"),
        "protocol": text("protocol of the runs"),
        "lambda": text("lambda of the runs"),
        "n": count("runs with a value"),
        "diverged": count("runs that diverged"),
        "mean": number("mean over the runs"),
        "sd": number("standard deviation over the runs", least=0),
        "low": number("lower end of its bootstrap interval, too short: calibration.csv", least=0),
        "high": number("upper end of it", least=0),
        "share": number("its variance over that of all sources", least=0),
        "sampling_sd": number("of an accuracy on a test set of that size (binomial)", least=0),
        "note": text("why a number is missing", nullable=True),
    },
    unique=["dataset", "metric", "source"],
)
# One row per run whose estimates of tr(H^2) were compared with the closed form.
ESTIMATES_TABLE = table(
    {
        **_RUN,
        "key": text("key of the run, as in metrics.csv"),
        "batches": count("mini-batches"),
        "draws": count("estimates a mini-batch"),
        "exact": number("mean of tr(H^2) over the mini-batches", least=0),
        "estimate_ratio": number("mean of the estimates over it", least=0),
    },
    unique=RUN,
)
# One row per run and sample size; the whole training split is the size of all its examples.
SAMPLE_SIZES_TABLE = table(
    {
        **_RUN,
        "key": text("key of the run, as in metrics.csv"),
        "examples": count("training examples in a sample"),
        "train_examples": count("examples of the training split"),
        "samples": count("disjoint samples"),
        "probes": count("probes of a sample; 0 if its numbers are exact"),
        "tr_h2": number("tr(H^2) at the last epoch, mean over samples", least=0),
        "tr_h2_stderr": number("its standard error over samples; of the whole split, over probes"),
        "cross_batch": number("tr(H_a H_b) of the halves of a sample, mean over samples"),
        "cross_batch_stderr": number("its standard error over samples", least=0),
    },
    unique=[*RUN, "examples"],
)
# One row per cell that was measured on samples of several sizes.
SAMPLE_SIZE_FITS_TABLE = table(
    {
        **_CELL,
        "n": count("runs, each with a fit of its own"),
        "a": number("tr(H^2) = a + b/n on n examples: a, what no number of examples takes away"),
        "a_low": number("lower end of its t interval over runs"),
        "a_high": number("upper end of it"),
        "b": number("b, the spread between examples"),
        "b_low": number("lower end of its t interval over runs"),
        "b_high": number("upper end of it"),
        "deviation": number("largest relative deviation of a size's mean from the fit", least=0),
        "batch": count("examples in a mini-batch of the training"),
        "share": number("of tr(H^2) of a mini-batch that the training loss does not have"),
        "share_low": number("lower end of its t interval over runs"),
        "share_high": number("upper end of it"),
        "train_examples": count("examples of the training split"),
        "whole": number("tr(H^2) on the whole training split, mean over runs", least=0),
        "fit_ratio": number("the fit at that size over it, mean over runs"),
        "fit_ratio_low": number("lower end of its t interval over runs"),
        "fit_ratio_high": number("upper end of it"),
        "cross_batch": number("tr(H_a H_b) on the largest samples, which has the mean a"),
        "cross_batch_low": number("lower end of its t interval over runs"),
        "cross_batch_high": number("upper end of it"),
        "note": text("why a number is missing", nullable=True),
    },
    unique=list(_CELL),
)
# One row per protocol, data set and lambda above 0; pairs of runs of one seed, lambda and 0.
EQUAL_LOSS_TABLE = table(
    {
        **_CELL,
        "n": count("pairs of runs that reach a common training loss"),
        "loss": number("that loss: the higher of their last ones, mean over pairs (nats)"),
        "tr_h2_ratio": number("tr(H^2) over that at lambda 0, where both have this loss"),
        "tr_h2_ratio_low": number("lower end of its t interval over pairs, on the log scale"),
        "tr_h2_ratio_high": number("upper end of it"),
        "accuracy_difference": number("test accuracy minus that at lambda 0, likewise"),
        "accuracy_difference_low": number("lower end of its t interval over pairs"),
        "accuracy_difference_high": number("upper end of it"),
        "last_n": count("pairs of runs that did not diverge"),
        "last_tr_h2_ratio": number("tr(H^2) over that at lambda 0, both after the last epoch"),
        "last_tr_h2_ratio_low": number("lower end of its t interval over pairs, on the log scale"),
        "last_tr_h2_ratio_high": number("upper end of it"),
        "last_accuracy_difference": number("test accuracy minus that at lambda 0, likewise"),
        "last_accuracy_difference_low": number("lower end of its t interval over pairs"),
        "last_accuracy_difference_high": number("upper end of it"),
        "remaining": number("share of the log ratio after the last epoch that is left"),
        "remaining_low": number("lower end of its interval (Fieller)"),
        "remaining_high": number("upper end of it"),
        "note": text("why a number is missing", nullable=True),
    },
    unique=list(_CELL),
)
# One row per measure and factor by which the layers of one run were rescaled.
REPARAMETRIZATION_TABLE = table(
    {
        **_RUN,
        "key": text("key of the run, as in metrics.csv"),
        "factor": number("of the first layer, its weights and biases; the second is divided by it"),
        "measure": text("name of the measure, or loss, which stays as the function does"),
        "value": number("its value on training examples"),
        "ratio": number("its value over that of the run itself"),
    },
    unique=["factor", "measure"],
)
# One row per interval, distribution and number of runs.
CALIBRATION_TABLE = table(
    {
        "interval": text("how it is made, and of what"),
        "distribution": text("what the runs were drawn from"),
        "n": count("runs a sample; of an accuracy, test examples"),
        "rounds": count("samples that were drawn"),
        "coverage": share("share of the intervals that hold the true value; 0.95 is asked for"),
        "low": share("lower end of its Monte-Carlo interval (Wilson)"),
        "high": share("upper end of it"),
        "ok": text("whether it is from 0.93 to 0.97", checks=pa.Check.isin(["yes", "no"])),
        "note": text("what is wrong with it", nullable=True),
    },
    unique=["interval", "distribution", "n"],
)
# One row per family of claims, truth and distribution.
FALSE_OUTCOMES_TABLE = table(
    {
        "family": text("claims whose p values are adjusted together"),
        "truth": text("where the true effects are"),
        "distribution": text("how the numbers of the seeds are distributed"),
        "claims": count("claims of the family"),
        "rounds": count("simulated studies"),
        "false": share("share of them in which any outcome of the family excludes the truth"),
        "low": share("lower end of its Monte-Carlo interval (Wilson, 95 %)"),
        "high": share("upper end of it"),
        "ok": text("whether that is at most the level", checks=pa.Check.isin(["yes", "no"])),
        "determined": share("share of the outcomes that are not undetermined"),
    },
    unique=["family", "truth", "distribution"],
)
