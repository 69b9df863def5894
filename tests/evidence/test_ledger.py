"""A ledger that names unknown things, or lacks what a test needs, gives a one-line error."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from flatreg import config
from flatreg.config import registration
from flatreg.errors import UserError
from flatreg.evidence import ledger
from flatreg.tables.evidence import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "workflow/schemas/claims.schema.json").read_text())
STUDY = config.read([ROOT / "config.yaml"], ROOT / "workflow/schemas/config.schema.json")

# What `make bench` measured, as far as a ledger is checked against it.
SHAPE = {"inputs": 3072, "hidden": [512, 256], "outputs": 100, "batch": 128, "probes": 5}
WAYS = {"gram": [3.0, 4.0], "reverse over reverse": [17.0, 18.0]}
TIMED = {"networks": {"cifar100": {"shape": SHAPE, "rounds": WAYS}}}

GAIN: dict[str, Any] = {
    "family": "primary",
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
    "protocols": ["literal"],
}
# Changes that make it a claim about time.
TIME = {"test": "bench", "way": "gram", "metric": ..., "lambdas": ..., "against": ...}
TIME |= {"scale": "ratio", "margin": 2}
# Changes that make it one about a correlation.
CORRELATION = {"test": "correlation", "metric": "tr_h2", "lambdas": ..., "against": ...}


def read(folder: Path, text: str) -> list[ledger.Claim]:
    path, timed = folder / "claims.yaml", folder / "cost.json"
    path.write_text(text)
    timed.write_text(json.dumps(TIMED))
    return ledger.read(path, SCHEMA, STUDY, timed)


def with_claim(**changes: Any) -> str:
    fields = copy.deepcopy(GAIN) | changes
    kept = {name: value for name, value in fields.items() if value is not ...}
    return yaml.safe_dump({"claims": {"gain": kept}})


def test_the_ledger_of_the_study_has_what_is_asked_of_it() -> None:
    claims = ledger.read(ROOT / "claims.yaml", SCHEMA, STUDY, ROOT / "bench/results/cost.json")
    assert {claim.expected for claim in claims} == {"higher", "lower", "equal"}
    assert all(claim.reason and claim.said for claim in claims)
    families = [claim.family for claim in claims]
    assert set(families) == set(FAMILIES)
    assert 4 <= families.count("primary") <= 6
    # What the original does not say is marked as asked by us.
    assert {claim.said.startswith("not said") for claim in claims if claim.family == "asked"} == {
        True
    }
    assert not any(claim.said.startswith("not said") for claim in claims if claim.family != "asked")


def test_every_correlation_has_one_at_the_same_lambda_beside_it() -> None:
    claims = ledger.read(ROOT / "claims.yaml", SCHEMA, STUDY, ROOT / "bench/results/cost.json")
    names = ("test", "dataset", "metric", "target", "expected", "margin", "protocols")
    tested = {tuple(str(getattr(claim, name)) for name in names) for claim in claims}
    plain = {row[1:] for row in tested if row[0] == "correlation"}
    assert plain
    assert plain == {row[1:] for row in tested if row[0] == "partial_correlation"}


def test_the_ledger_of_the_demo_is_about_its_study() -> None:
    files = [ROOT / "config.yaml", ROOT / "profiles/demo/study.yaml"]
    study = config.read(files, ROOT / "workflow/schemas/config.schema.json")
    timed = ROOT / "bench/results/cost.json"
    assert ledger.read(ROOT / "profiles/demo/claims.yaml", SCHEMA, study, timed)


def test_a_claim_is_read_with_its_defaults(tmp_path: Path) -> None:
    (claim,) = read(tmp_path, with_claim())
    assert claim.name == "gain"
    assert (claim.scale, claim.value, claim.target) == ("difference", None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "test_acuracy"}, "gain.metric: 'test_acuracy' is unknown; did you mean test_a"),
        ({"protocols": ["litteral"]}, "protocol 'litteral' is not in the config; did you mean lit"),
        ({"dataset": "cifar10"}, "data set of literal 'cifar10' is not in the config; did you mea"),
        ({"lambdas": ["0.5"]}, "lambda 0.5 is not one of literal/cifar100's (0, 0.001"),
        ({"against": {"lambda": "7"}}, "lambda 7 is not one of literal/cifar100's"),
        ({"against": {"protocol": "mine"}}, "protocol 'mine' is not in the config"),
        ({"family": "tertiary"}, 'claims.gain.family: "tertiary" is unknown; known are "primary"'),
        ({"family": ...}, "claims.gain: 'family' is missing"),
        ({"family": "asked"}, "claims: none is of the family primary; mark those that the study"),
        ({"test": "t"}, 'claims.gain.test: "t" is unknown'),
        ({"margin": -0.01}, "claims.gain.margin: must be above 0, not -0.01"),
        ({"margin": 0.5, "scale": "ratio"}, "gain.margin: for a ratio give a factor above 1"),
        ({"expected": "better"}, '"better" is unknown; known are "higher", "lower", "equal"'),
        ({"lambdas": ["0.01", "1"]}, "gain.lambdas: name one lambda"),
        ({"lambdas": ...}, "gain.lambdas: is missing"),
        ({"against": ...}, "gain.against: is missing"),
        ({"metric": ...}, "gain.metric: is missing"),
        ({"statement": ...}, "claims.gain: 'statement' is missing"),
        ({"colour": "red"}, 'unknown key "colour"'),
        (CORRELATION, "gain.target: is missing"),
        (CORRELATION | {"target": "loss_gap", "margin": 1}, "for a correlation give less than 1"),
        (CORRELATION | {"target": "loss_gap", "scale": "ratio"}, "a correlation is no ratio; leav"),
        ({"test": "mean"}, "gain.against: leave it out, for test mean"),
        ({"target": "loss_gap"}, "gain.target: leave it out, for test paired"),
        ({"way": "gram"}, "gain.way: leave it out, for test paired"),
        ({"metric": "status"}, "gain.metric: 'status' is unknown"),
        ({"metric": "seed"}, "gain.metric: 'seed' is unknown"),
        ({"metric": "seconds_per_step"}, "gain.metric: 'seconds_per_step' is unknown"),
        (
            {"scale": "ratio", "margin": 1.5, "value": 0},
            "gain.value: for a ratio give a number above 0, not 0",
        ),
        (
            {"test": "trend", "lambdas": ["0"], "against": ...},
            "gain.lambdas: a trend needs at least two lambdas; name another",
        ),
        ({"value": float("nan")}, "gain.value: must be a number or null, not NaN"),
        (
            {"test": "spread", "against": {"dataset": "breast_cancer"}},
            "gain.scale: test spread gives a ratio; write scale: ratio",
        ),
        # A protocol that cannot decide it.
        (TIME | {"way": "grram"}, "has no way on cifar100 'grram'; did you mean gram"),
        (TIME | {"way": ...}, "gain.way: is missing"),
        (TIME | {"metric": "tr_h2"}, "gain.metric: leave it out, for test bench"),
        (TIME | {"dataset": "imdb_reviews"}, "the bench has no network 'imdb_reviews'"),
        (TIME | {"scale": "difference"}, "gain.scale: test bench gives a ratio"),
        (
            {"metric": "tr_h2_training", "test": "trend", "lambdas": ["0", "0.01"], "against": ...},
            "plain training has no tr_h2_training; leave lambda 0 out of lambdas",
        ),
        (
            {"metric": "estimate_ratio", "test": "mean", "lambdas": ["0"], "against": ...},
            "literal/cifar100 at lambda 0 has no estimate_ratio; name what the config's `est",
        ),
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
        (with_claim() + with_claim().partition("\n")[2], "line 18: 'gain' is there twice"),
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
        ledger.read(tmp_path / "null", SCHEMA, STUDY, tmp_path / "cost.json")
    assert str(caught.value) == (
        f"{tmp_path / 'null'}: No such file or directory; name a ledger; for a study without one"
        " write `claims: null` in a config file, or `--config claims=` on the command line"
    )


def test_a_protocol_without_plain_training_cannot_show_whether_it_learns(tmp_path: Path) -> None:
    study = copy.deepcopy(STUDY)
    study["protocols"]["literal"]["datasets"]["cifar100"]["lambdas"].remove("0")
    path = tmp_path / "claims.yaml"
    path.write_text(with_claim(against={"protocol": "stated"}))
    with pytest.raises(UserError) as caught:
        ledger.read(path, SCHEMA, study, tmp_path / "cost.json")
    assert "literal/cifar100 has no plain training (lambda 0) that shows" in str(caught.value)
    assert ledger.plain_cell(study, "as_reported", "cifar100")[0] == "as_reported"
    assert ledger.plain_cell(STUDY, "every_tenth", "cifar100")[0] == "every_step_fixed"


# ── What runs register ────────────────────────────────────────────────────────


def registered(folder: Path, text: str) -> str:
    path = folder / "claims.yaml"
    path.write_text(text)
    return registration.digests(path, 0.05)["gain"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"statement": "In other words.", "said": "method", "reason": "why not"}, True),
        ({"protocols": ["literal", "stated"]}, True),
        ({"protocols": ["stated", "literal"]}, False),
        ({"margin": 0.02}, False),
        ({"family": "secondary"}, False),
        ({"expected": "equal"}, False),
        ({"metric": "last_test_accuracy"}, False),
        ({"lambdas": ["1"]}, False),
    ],
)
def test_a_claim_is_another_if_its_test_changes(
    tmp_path: Path, changes: dict[str, Any], same: bool
) -> None:
    before, after = registered(tmp_path, with_claim()), registered(tmp_path, with_claim(**changes))
    assert (before == after) == same
    assert len(before) == 64


def test_a_run_registers_the_ledger_with_its_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = {"claims": "claims.yaml", "analysis": {"alpha": 0.05}}
    path = tmp_path / "claims.yaml"
    digest = registered(tmp_path, with_claim())

    def git(*arguments: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *names, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert registration.register(path, study) == {
        "path": "claims.yaml",
        "commit": None,
        "claims": {"gain": digest},
    }
    git("init", "-q")
    git("add", "claims.yaml")
    git("commit", "-q", "-m", "the ledger")
    commit = git("rev-parse", "HEAD")
    git("commit", "-q", "--allow-empty", "-m", "something else")
    assert registration.register(path, study)["commit"] == commit
    path.write_text(with_claim(margin=0.5))
    assert registration.register(path, study)["commit"] is None
    # Someone is editing it: the run goes on.
    path.write_text("claims: [")
    assert registration.register(path, study) is None
    assert "no claim is registered" in capsys.readouterr().out
