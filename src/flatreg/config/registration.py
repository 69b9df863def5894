"""What a run records of the ledger: how each claim was to be tested when the run was trained.

A claim whose test or margin changes afterwards no longer has the digest that its runs recorded, and
counts as exploratory.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from flatreg import code
from flatreg.config.study import Config
from flatreg.disk.yaml_files import read_yaml
from flatreg.errors import UserError

# The fields of a claim that fix its test and what counts as an effect. Of the protocols only the
# first decides; words explain.
REGISTERED = (
    *("family", "dataset", "metric", "target", "way", "test", "lambdas", "against"),
    *("scale", "value", "expected", "margin"),
)


def register(path: Path, study: Config) -> dict[str, Any] | None:
    """The entry `ledger` of a run's facts: path, commit and the digest of each claim.

    None if the ledger cannot be read, as it may be while someone edits it: the runs go on, and the
    claims on them count as exploratory.

    Args:
        path: the ledger (YAML).
        study: completed config.
    """
    try:
        claims = digests(path, study["analysis"]["alpha"])
    except UserError as error:
        print(f"no claim is registered: {error}", flush=True)
        return None
    return {"path": study["claims"], "commit": code.commit_of(path), "claims": claims}


def digests(path: Path, alpha: float) -> dict[str, str]:
    """SHA-256 (hex) of what fixes the test of each claim, by the claim's name.

    Args:
        path: the ledger (YAML); what it leaves out is not completed.
        alpha: level of the tests.

    Raises:
        UserError: the file cannot be read, or has no claims.
    """
    content = read_yaml(path, "name a ledger")
    try:
        return {name: _digest(fields, alpha) for name, fields in content["claims"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} has no claims") from error


def _digest(fields: dict[str, Any], alpha: float) -> str:
    fixed = {name: fields.get(name) for name in REGISTERED}
    fixed |= {"protocol": fields["protocols"][0], "alpha": alpha}
    canonical = json.dumps(fixed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
