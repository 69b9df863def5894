"""A ledger that names unknown things, or lacks what a test needs, gives a one-line error."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flatreg import config
from flatreg.errors import UserError
from flatreg.evidence import ledger

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "workflow/schemas/claims.schema.json").read_text())
STUDY = config.read([ROOT / "config.yaml"], ROOT / "workflow/schemas/config.schema.json")

GAIN: dict[str, Any] = {
    "statement": "It helps.",
    "said": "abstract",
    "dataset": "cifar100",
    "metric": "test_accuracy",
    "test": "paired",
    "lambdas": ["0.01"],
    "against": {"lambda": "0"},
    "expected": "higher",
    "margin": 0.01,
    "reason": "one point",
    "protocols": ["tuned"],
}


def read(folder: Path, text: str) -> list[ledger.Claim]:
    path = folder / "claims.yaml"
    path.write_text(text)
    return ledger.read(path, SCHEMA, STUDY)


def with_claim(**changes: Any) -> str:
    fields = copy.deepcopy(GAIN) | changes
    kept = {name: value for name, value in fields.items() if value is not ...}
    return yaml.safe_dump({"claims": {"gain": kept}})


def test_the_ledger_of_the_study_has_what_is_asked_of_it() -> None:
    claims = ledger.read(ROOT / "claims.yaml", SCHEMA, STUDY)
    assert len(claims) >= 15
    assert {claim.expected for claim in claims} == {"higher", "lower", "equal"}
    assert all(claim.reason and claim.said for claim in claims)


def test_a_claim_is_read_with_its_defaults(tmp_path: Path) -> None:
    (claim,) = read(tmp_path, with_claim())
    assert claim.name == "gain"
    assert (claim.scale, claim.value, claim.target) == ("difference", None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "test_acuracy"}, "gain.metric: 'test_acuracy' is unknown; did you mean test_a"),
        ({"protocols": ["tunned"]}, "protocol 'tunned' is not in the config; did you mean tuned"),
        ({"dataset": "cifar10"}, "data set of tuned 'cifar10' is not in the config; did you mean"),
        ({"lambdas": ["0.5"]}, "lambda 0.5 is not one of tuned/cifar100's (0, 0.001"),
        ({"against": {"lambda": "7"}}, "lambda 7 is not one of tuned/cifar100's"),
        ({"against": {"protocol": "mine"}}, "protocol 'mine' is not in the config"),
        ({"test": "t"}, 'claims.gain.test: "t" is unknown'),
        ({"margin": -0.01}, "claims.gain.margin: must be above 0, not -0.01"),
        ({"margin": 0.5, "scale": "ratio"}, "gain.margin: for a ratio give a factor above 1"),
        ({"expected": "better"}, '"better" is unknown; known are "higher", "lower", "equal"'),
        ({"lambdas": ["0.01", "1"]}, "gain.lambdas: name one lambda"),
        ({"lambdas": ...}, "gain.lambdas: is missing"),
        ({"against": ...}, "gain.against: is missing"),
        ({"statement": ...}, "claims.gain: 'statement' is missing"),
        ({"colour": "red"}, 'unknown key "colour"'),
        ({"test": "correlation"}, "gain.target: is missing"),
        ({"test": "mean"}, "gain.against: leave it out, for test mean"),
        ({"target": "loss_gap"}, "gain.target: is for correlations only"),
        ({"metric": "status"}, "gain.metric: 'status' is unknown"),
        ({"metric": "seed"}, "gain.metric: 'seed' is unknown"),
        (
            {"scale": "ratio", "margin": 1.5, "value": 0},
            "gain.value: for a ratio give a number above 0, not 0",
        ),
        (
            {"test": "trend", "lambdas": ["0"], "against": ...},
            "gain.lambdas: a trend needs at least two lambdas; name another",
        ),
        ({"value": float("nan")}, "gain.value: must be a number or null, not NaN"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, with_claim(**changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (with_claim() + with_claim().partition("\n")[2], "line 17: 'gain' is there twice"),
        ("claims: \0", "is not text; save it in UTF-8"),
        ("claims: {}", "claims: must not be empty"),
        ("- a list", "'claims' is missing"),
        ("claims: [", "is not YAML"),
    ],
)
def test_a_file_that_is_no_ledger_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=r"claims\.yaml") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        ledger.read(tmp_path / "null", SCHEMA, STUDY)
    assert str(caught.value) == (
        f"{tmp_path / 'null'}: No such file or directory; name a ledger; for a study without one"
        " write `claims: null` in a config file, or `--config claims=` on the command line"
    )
