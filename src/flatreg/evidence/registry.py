"""The registry of the evidence's tables; each row gives a rule, a command and captions.

To add a table, write a module in this folder, its columns in `flatreg.tables.evidence`, and a row
here. Tables that one function computes share a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Shown(NamedTuple):
    """A table's name and caption in the HTML report."""

    label: str
    caption: str


class Row(NamedTuple):
    """One table, or several that one function computes.

    Attributes:
        rule: name of the rule.
        function: `module.function` in this folder. Its arguments are the study, then the inputs in
            their order, then the options by name. It returns the tables in their order.
        inputs: names of tables of the study, which are read before the call, or of files, which
            the function reads.
        tables: the tables, each with its entry in the report, or None if the report omits it.
        settings: fields of the config that the tables depend on besides their inputs.
        options: integer flags, each with its default and help.
        local: whether it takes only seconds, so that a cluster's login node may run it.
    """

    rule: str
    function: str
    inputs: tuple[str, ...]
    tables: dict[str, Shown | None]
    settings: tuple[str, ...]
    options: Mapping[str, tuple[int, str]] = MappingProxyType({})
    local: bool = True


ROWS = {
    "correlations": Row(
        rule="correlate_flatness",
        function="generalization.correlate_flatness",
        inputs=("metrics", "cells"),
        tables={
            "flatness": Shown(
                "flatness of every run",
                "Measures of flatness of every run, on training examples: sharpness of SAM and "
                "ASAM by radius, relative flatness, the Fisher-Rao norm. Diverged runs have none.",
            ),
            "correlations": Shown(
                "flatness and generalization",
                "Kendall's rank correlation of each measure with test accuracy and with the "
                "generalization gap, within each data set and over all, plain and with lambda "
                "held fixed.",
            ),
        },
        settings=("analysis", "protocols"),
    ),
    "variance": Row(
        rule="decompose_variance",
        function="variance.decompose",
        inputs=("metrics", "manifests"),
        tables={
            "variance": Shown(
                "spread by cause",
                "The spread over runs in which one cause of randomness varies and the others stay.",
            )
        },
        settings=("protocols",),
        options={"seed": (0, "of the bootstrap")},
    ),
    "overall": Row(
        rule="pool_datasets",
        function="overall.pool_datasets",
        inputs=("metrics", "manifests"),
        tables={
            "overall": Shown(
                "all data sets at once",
                "What each lambda does over all data sets of a protocol: the interquartile mean "
                "of accuracies over those at lambda 0, and the probability that a run is better "
                "than one at lambda 0.",
            ),
            "test_sets": Shown(
                "what test sets leave open",
                "How far the accuracy of one trained model may be from its accuracy on all "
                "examples of its kind, by the size of its test set, beside the spread over seeds.",
            ),
        },
        settings=("analysis", "protocols"),
        options={"seed": (0, "of the bootstrap")},
    ),
    "calibration": Row(
        rule="calibrate_intervals",
        function="calibration.calibrate",
        inputs=(),
        tables={
            "calibration": Shown(
                "coverage of the intervals",
                "How often each kind of 95 % interval holds the true value, by number of runs.",
            )
        },
        settings=(),
        options={"rounds": (2000, "samples per row"), "seed": (0, "seed of all random draws")},
        local=False,
    ),
    "claims": Row(
        rule="judge_claims",
        function="judge.judge_ledger",
        inputs=("metrics", "times", "estimates", "ledger", "schema"),
        tables={
            "claims": Shown(
                "the claims and their verdicts",
                "The ledger: each claim under each protocol, its tests and its verdict.",
            ),
            "claim_runs": None,
        },
        settings=("analysis",),
    ),
}
