"""The registry of the evidence's tables; each row gives a rule, a command, columns and captions.

To add a table, write a module in `flatreg.evidence` and a row here. Tables that one function
computes share a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
import pandera.pandas as pa

from flatreg.tables import evidence, reported
from flatreg.tables.results import RESULTS
from flatreg.tables.schema import read


class Table(NamedTuple):
    """A table of a row.

    Attributes:
        schema: its columns.
        label: its name in the HTML report; empty if the report omits it.
        caption: what the report says below it.
    """

    schema: pa.DataFrameSchema
    label: str = ""
    caption: str = ""


class Row(NamedTuple):
    """One table, or several that one function computes.

    Attributes:
        rule: name of the rule.
        function: `module.function` in `flatreg.evidence`. Its arguments are the study,
            then the inputs in their order, then the options by name. It returns the tables in
            their order.
        inputs: names of tables of the study, which are read before the call, or of files, which
            the function reads.
        tables: the tables by name.
        settings: fields of the config that the tables depend on besides their inputs.
        options: integer flags, each with its default and help.
        local: whether it takes only seconds, so that a cluster's login node may run it.
    """

    rule: str
    function: str
    inputs: tuple[str, ...]
    tables: dict[str, Table]
    settings: tuple[str, ...]
    options: Mapping[str, tuple[int, str]] = MappingProxyType({})
    local: bool = True


ROWS = {
    "correlations": Row(
        rule="correlate_flatness",
        function="generalization.correlate_flatness",
        inputs=("metrics", "flatness"),
        tables={
            "correlations": Table(
                evidence.CORRELATIONS_TABLE,
                "flatness and generalization",
                "Kendall's rank correlation of each measure with test accuracy and with the "
                "generalization gap, within each data set and over all, plain, with lambda held "
                "fixed and with training accuracy held fixed; beside it those of training "
                "accuracy, training loss and the norm of the parameters, its rivals.",
            ),
        },
        settings=("analysis", "protocols"),
    ),
    "equal_loss": Row(
        rule="compare_at_equal_loss",
        function="equal_loss.compare_at_equal_loss",
        inputs=("metrics", "epochs"),
        tables={
            "equal_loss": Table(
                evidence.EQUAL_LOSS_TABLE,
                "flatness at equal training loss",
                "tr(H^2) and test accuracy against those of the plain run of the same seed, where "
                "both have the same training loss and after the last epoch: how much of the "
                "flattening is lower fit.",
            ),
        },
        settings=("analysis", "protocols"),
    ),
    "sample_size_fits": Row(
        rule="fit_sample_sizes",
        function="sample_size_fits.fit_sample_sizes",
        inputs=("sampled",),
        tables={
            "sample_sizes": Table(
                evidence.SAMPLE_SIZES_TABLE,
                "tr(H^2) by number of examples",
                "tr(H^2) at the last epoch on disjoint samples of several sizes and on the whole "
                "training split, beside the product of the Hessians of the samples' halves.",
            ),
            "sample_size_fits": Table(
                evidence.SAMPLE_SIZE_FITS_TABLE,
                "curvature and spread in tr(H^2)",
                "tr(H^2) on n examples as a + b/n: what no number of examples takes away, and the "
                "spread between examples.",
            ),
        },
        settings=("analysis", "protocols"),
    ),
    "variance": Row(
        rule="decompose_variance",
        function="variance.decompose",
        inputs=("metrics", "manifests"),
        tables={
            "variance": Table(
                evidence.VARIANCE_TABLE,
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
            "overall": Table(
                evidence.OVERALL_TABLE,
                "all data sets at once",
                "What each lambda does over all data sets of a protocol: the interquartile mean "
                "of accuracies over those at lambda 0, and the probability that a run is better "
                "than one at lambda 0.",
            ),
            "test_sets": Table(
                evidence.TEST_SETS_TABLE,
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
            "calibration": Table(
                evidence.CALIBRATION_TABLE,
                "coverage of the intervals",
                "How often each kind of 95 % interval holds the true value, by number of runs.",
            )
        },
        settings=("calibration",),
        options={"seed": (0, "of all random draws")},
        local=False,
    ),
    "false_outcomes": Row(
        rule="count_false_outcomes",
        function="false_outcomes.simulate",
        inputs=("ledger", "schema", "bench"),
        tables={
            "false_outcomes": Table(
                evidence.FALSE_OUTCOMES_TABLE,
                "false outcomes of the ledger",
                "How often simulated families of claims get an outcome that excludes the truth.",
            )
        },
        settings=("analysis", "calibration", "protocols"),
        options={"seed": (0, "of all random draws")},
        local=False,
    ),
    "claims": Row(
        rule="judge_claims",
        function="judge.judge_ledger",
        inputs=(
            *("metrics", "estimates", "registrations", "registered_claims"),
            *("manifests", "ledger", "schema", "bench"),
        ),
        tables={
            "claims": Table(
                evidence.CLAIMS_TABLE,
                "the claims and their verdicts",
                "The ledger: each claim under each protocol, its tests and its verdict.",
            ),
            "claim_runs": Table(evidence.CLAIM_RUNS_TABLE),
        },
        settings=("analysis", "protocols"),
    ),
}

# Tables of the evidence that have rules of their own.
OTHERS = {
    "registrations": evidence.REGISTRATIONS_TABLE,
    "registered_claims": evidence.REGISTERED_CLAIMS_TABLE,
    "flatness": evidence.FLATNESS_TABLE,
    "estimates": evidence.ESTIMATES_TABLE,
    "reparametrization": evidence.REPARAMETRIZATION_TABLE,
    "checks": reported.CHECKS_TABLE,
    "grim": reported.GRIM_TABLE,
    "grim_denominators": reported.GRIM_DENOMINATORS_TABLE,
    "triples": reported.TRIPLES_TABLE,
}
# Intermediate tables: nothing cites them, and the reference omits them.
WORKINGS = ("grim_denominators", "triples")
# Tables for which parameters of runs are needed; all others follow from the small files of runs.
MEASURED = ("estimates", "reparametrization")
_OF_ROWS = {name: table.schema for row in ROWS.values() for name, table in row.tables.items()}
# All tables of the evidence by name, in alphabetical order; a study need not have all of them.
EVIDENCE = dict(sorted((_OF_ROWS | OTHERS).items()))
# All tables of the study by name.
TABLES = RESULTS | EVIDENCE


def read_named(path: Path, name: str) -> pd.DataFrame:
    """Read a table of the study, by its name in `TABLES`.

    Raises:
        UserError: the table is missing, was changed after it was made, or a value is out of range.
    """
    return read(path, TABLES[name])
