"""A claim for tests to vary."""

from __future__ import annotations

from flatreg.evidence.ledger import Claim

GAIN = Claim(
    name="gain",
    family="primary",
    statement="It helps.",
    said="abstract",
    reported=None,
    dataset="digits",
    metric="last_test_accuracy",
    target=None,
    way=None,
    test="paired",
    lambdas=["0.1"],
    against={"lambda": "0", "protocol": None, "dataset": None},
    scale="difference",
    value=None,
    expected="higher",
    margin=0.01,
    reason="one point",
    protocols=["literal"],
)
